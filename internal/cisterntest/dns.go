package cisterntest

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// DNS is a name server on loopback that knows the names it was told, so that a test asks nobody else. It is safe for concurrent use.
type DNS struct {
	conn net.PacketConn
	wg   sync.WaitGroup // the answering goroutine

	mu      sync.Mutex // guards the fields below
	records map[string][]string
	asked   map[string]int
}

// NewDNS starts a name server that ends with the test. Until it is told names it answers "no such name".
func NewDNS(t testing.TB) *DNS {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("start name server: %v", err)
	}
	d := &DNS{conn: conn, records: map[string][]string{}, asked: map[string]int{}}
	d.wg.Go(d.serve)
	t.Cleanup(func() {
		_ = conn.Close()
		d.wg.Wait()
	})
	return d
}

// Set says what name is from now on: addresses, or "CNAME other.name". Without any the name exists but has no address.
// The name "*" stands for all that were not set.
func (d *DNS) Set(name string, records ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.records[strings.TrimSuffix(name, ".")] = records
}

// Asked is how often the addresses of name were asked for.
func (d *DNS) Asked(name string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked[strings.TrimSuffix(name, ".")]
}

// Resolver asks this name server and no other.
func (d *DNS) Resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		if !strings.HasPrefix(network, "udp") {
			return nil, errors.New("the test's name server knows UDP only")
		}
		var dialer net.Dialer
		return dialer.DialContext(ctx, "udp", d.conn.LocalAddr().String())
	}}
}

func (d *DNS) serve() {
	buf := make([]byte, 4<<10)
	for {
		n, from, err := d.conn.ReadFrom(buf)
		if err != nil {
			return // only the test's end closes the socket
		}
		if reply, err := d.reply(buf[:n]); err == nil {
			_, _ = d.conn.WriteTo(reply, from) // who does not get it asks again
		}
	}
}

func (d *DNS) reply(query []byte) ([]byte, error) {
	var p dnsmessage.Parser
	head, err := p.Start(query)
	if err != nil {
		return nil, err
	}
	q, err := p.Question()
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	name := strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))
	if q.Type == dnsmessage.TypeA {
		d.asked[name]++
	}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: head.ID, Response: true, RecursionDesired: true, RecursionAvailable: true},
		Questions: []dnsmessage.Question{q},
	}
	owner := q.Name
	for range 8 { // a chain of CNAMEs ends somewhere
		records, ok := d.records[name]
		if !ok {
			records, ok = d.records["*"]
		}
		if !ok {
			m.RCode = dnsmessage.RCodeNameError
			break
		}
		next := ""
		for _, r := range records {
			if target, ok := strings.CutPrefix(r, "CNAME "); ok {
				next = target
				continue
			}
			if body := address(r, q.Type); body != nil {
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: owner, Class: q.Class}, Body: body})
			}
		}
		if next == "" {
			break
		}
		alias, err := dnsmessage.NewName(next + ".")
		if err != nil {
			return nil, err
		}
		m.Answers = append(m.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: owner, Class: q.Class}, Body: &dnsmessage.CNAMEResource{CNAME: alias},
		})
		name, owner = next, alias
	}
	return m.Pack()
}

// address is the record of type t for text, or nil.
func address(text string, t dnsmessage.Type) dnsmessage.ResourceBody {
	ip, err := netip.ParseAddr(text)
	switch {
	case err != nil:
		return nil
	case t == dnsmessage.TypeA && ip.Is4():
		return &dnsmessage.AResource{A: ip.As4()}
	case t == dnsmessage.TypeAAAA && ip.Is6():
		return &dnsmessage.AAAAResource{AAAA: ip.As16()}
	}
	return nil
}
