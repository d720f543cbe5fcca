package node

import (
	"net"
	"net/http"
	"sync"
)

// places bounds the connections of clients. It counts by the states that net/http reports and leaves the connections as they are: one that is
// wrapped to be counted cannot send files without copying them (sendfile).
type places struct{ taken chan struct{} }

func newPlaces(n int) *places { return &places{taken: make(chan struct{}, n)} }

// changed is the ConnState of the http.Server that serves the listener.
func (p *places) changed(_ net.Conn, s http.ConnState) {
	if s == http.StateClosed || s == http.StateHijacked {
		<-p.taken
	}
}

// listen returns ln with a bound: further clients wait until a place is free.
func (p *places) listen(ln net.Listener) net.Listener {
	return &boundListener{Listener: ln, p: p, closed: make(chan struct{})}
}

type boundListener struct {
	net.Listener
	p      *places
	once   sync.Once
	closed chan struct{}
}

func (l *boundListener) Accept() (net.Conn, error) {
	select {
	case l.p.taken <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.p.taken
	}
	return c, err
}

func (l *boundListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}
