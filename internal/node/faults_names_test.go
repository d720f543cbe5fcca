package node_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// nameServer is a name server on loopback, over UDP and TCP, that misbehaves as a test says.
type nameServer struct {
	answer func(lookup) records
	udp    net.PacketConn
	tcp    net.Listener
	wg     sync.WaitGroup // the two listening goroutines and one for each TCP connection

	mu      sync.Mutex // guards all below
	lookups []lookup
	conns   map[net.Conn]struct{}
	closed  bool
}

// lookup is one question.
type lookup struct {
	name string // with its dot at the end
	kind dnsmessage.Type
	tcp  bool
}

// records are an answer. The zero value is one without addresses.
type records struct {
	addrs     []netip.Addr // those that are not of the type asked for are left out
	truncated bool         // there is more by TCP
	rcode     dnsmessage.RCode
	silent    bool // no answer at all
}

// newNameServer starts a name server that ends with the test. answer may be called by several goroutines at once.
func newNameServer(t *testing.T, answer func(lookup) records) *nameServer {
	t.Helper()
	s := &nameServer{answer: answer, conns: map[net.Conn]struct{}{}}
	var err error
	if s.udp, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
		t.Fatalf("start name server: %v", err)
	}
	if s.tcp, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		_ = s.udp.Close()
		t.Fatalf("start name server: %v", err)
	}
	s.wg.Go(s.serveUDP)
	s.wg.Go(s.serveTCP)
	t.Cleanup(s.close)
	return s
}

// resolver asks s, and nobody else.
func (s *nameServer) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var dialer net.Dialer
		if network == "tcp" {
			return dialer.DialContext(ctx, "tcp", s.tcp.Addr().String())
		}
		return dialer.DialContext(ctx, "udp", s.udp.LocalAddr().String())
	}}
}

// asked are the questions so far.
func (s *nameServer) asked() []lookup {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]lookup(nil), s.lookups...)
}

func (s *nameServer) close() {
	_ = s.udp.Close()
	_ = s.tcp.Close()
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *nameServer) serveUDP() {
	buf := make([]byte, 1500)
	for {
		n, from, err := s.udp.ReadFrom(buf)
		if err != nil {
			return // only close ends it
		}
		if reply := s.reply(buf[:n], false); reply != nil {
			_, _ = s.udp.WriteTo(reply, from)
		}
	}
}

func (s *nameServer) serveTCP() {
	for {
		c, err := s.tcp.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			_ = c.Close()
			return
		}
		s.conns[c] = struct{}{}
		s.mu.Unlock()
		s.wg.Go(func() {
			defer c.Close()
			s.serveConn(c)
		})
	}
}

func (s *nameServer) serveConn(c net.Conn) {
	for {
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, query); err != nil {
			return
		}
		if reply := s.reply(query, true); reply != nil {
			_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...))
		}
	}
}

// reply makes the answer to a query; nil is none.
func (s *nameServer) reply(query []byte, tcp bool) []byte {
	var p dnsmessage.Parser
	head, err := p.Start(query)
	if err != nil {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return nil
	}
	l := lookup{name: q.Name.String(), kind: q.Type, tcp: tcp}
	s.mu.Lock()
	s.lookups = append(s.lookups, l)
	s.mu.Unlock()
	r := s.answer(l)
	if r.silent {
		return nil
	}
	msg := dnsmessage.Message{
		Header: dnsmessage.Header{
			ID: head.ID, Response: true, RecursionDesired: head.RecursionDesired, RecursionAvailable: true,
			Truncated: r.truncated, RCode: r.rcode,
		},
		Questions: []dnsmessage.Question{q},
	}
	for _, addr := range r.addrs {
		h := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: dnsmessage.ClassINET}
		switch {
		case q.Type == dnsmessage.TypeA && addr.Is4():
			msg.Answers = append(msg.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: addr.As4()}})
		case q.Type == dnsmessage.TypeAAAA && addr.Is6():
			msg.Answers = append(msg.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}})
		}
	}
	reply, err := msg.Pack()
	if err != nil {
		return nil
	}
	return reply
}
