package node_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cisternhq/cistern/internal/cisterntest"
	"github.com/cisternhq/cistern/internal/keys"
	"github.com/cisternhq/cistern/internal/node"
	"github.com/cisternhq/cistern/internal/origin"
	"github.com/cisternhq/cistern/internal/sign"
)

// outside is the network beyond the server under test: it notes what is dialled, and leads a few public addresses to listeners on
// loopback. Nothing leaves the machine.
type outside struct {
	dns    *cisterntest.DNS
	places map[netip.Addr]netip.AddrPort // where a public address is to be found; set before the server starts

	mu    sync.Mutex // guards dials
	dials []netip.AddrPort
}

func newOutside(t *testing.T) *outside {
	t.Helper()
	return &outside{dns: cisterntest.NewDNS(t), places: map[netip.Addr]netip.AddrPort{}}
}

// in makes a server live in o.
func (o *outside) in() cisterntest.Option {
	return cisterntest.With(func(n *node.Options) {
		n.Origin.Resolver = o.dns.Resolver()
		n.Origin.Dial = o.dial
		n.Origin.ConnectTimeout = 100 * time.Millisecond // for the one address where nothing answers
		n.Origin.FirstByteTimeout = time.Hour            // what ends in time ends by itself
		n.Fill.RetryPause = time.Millisecond
	})
}

// silentAddr never answers: a packet there is lost.
var silentAddr = netip.MustParseAddr("93.184.216.99")

func (o *outside) dial(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
	o.mu.Lock()
	o.dials = append(o.dials, to)
	o.mu.Unlock()
	at, ok := o.places[to.Addr()]
	switch {
	case to.Addr() == silentAddr:
		<-ctx.Done()
		return nil, ctx.Err()
	case !ok && !to.Addr().IsLoopback():
		return nil, errors.New("connection refused")
	case !ok:
		at = to
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, network, at.String())
	if err != nil {
		return nil, err
	}
	return dialledConn{c, net.TCPAddrFromAddrPort(to)}, nil
}

// dialledConn says that it leads where it was dialled to.
type dialledConn struct {
	net.Conn
	to net.Addr
}

func (c dialledConn) RemoteAddr() net.Addr { return c.to }

func (o *outside) dialled() []netip.AddrPort {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.dials)
}

// said is what a client gets to see of an answer.
type said struct {
	status        int
	code, message string
	body          string
}

// ask sends a request, signed if k is not the zero key. Header lines are "Name: value"; "Host: x" is the request's Host.
func ask(t *testing.T, k keys.Key, method, url, body string, lines ...string) said {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Add(name, value)
	}
	if k.ID != "" {
		r.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
		r.Header.Set("Authorization", sign.Header(sign.Request{
			Method: method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Header: r.Header,
		}, k.ID, k.Secret))
	}
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	s := said{status: resp.StatusCode, body: string(text)}
	if resp.StatusCode >= 400 && method != "HEAD" {
		var e struct{ Code, Message string }
		if err := json.Unmarshal(text, &e); err != nil {
			t.Errorf("%s %s = %d %s, which is no error document", method, url, resp.StatusCode, text)
		}
		s.code, s.message = e.Code, e.Message
	}
	return s
}

// setMirror sets the source of a bucket of k's, and makes the bucket first.
func setMirror(t *testing.T, s *cisterntest.Server, k keys.Key, bucket, site string) said {
	t.Helper()
	if a := ask(t, k, "PUT", s.URL+"/"+bucket, ""); a.status != 201 && a.status != 409 {
		t.Fatalf("PUT /%s = %+v", bucket, a)
	}
	doc, err := json.Marshal(map[string]string{"source_site": site})
	if err != nil {
		t.Fatal(err)
	}
	return ask(t, k, "PUT", s.URL+"/"+bucket+"?mirror", string(doc), "Content-Type: application/json")
}

// Whose key a setting is made with decides how far it may lead.
func TestSettingsReachAsFarAsTheirKey(t *testing.T) {
	out := newOutside(t)
	s := cisterntest.Start(t, out.in())
	user := s.NewUser()
	_, own, _ := strings.Cut(s.URL, "//")
	_, ownPort, _ := net.SplitHostPort(own)
	for i, tt := range []struct {
		name, site     string
		user, operator string // part of the message of a 400; "": 200
	}{
		{"public address", "http://93.184.216.34/", "", ""},
		{"name", "http://source.test/", "", ""},
		{"loopback", "http://127.0.0.1:8081/", "private address", ""},
		{"loopback by IPv6", "http://[::1]:8081/", "private address", ""},
		{"localhost", "http://localhost:8081/", "private address", ""},
		{"private", "http://10.1.2.3/", "private address", ""},
		{"unique local", "http://[fd12::1]/", "private address", ""},
		{"shared space", "http://100.64.0.1/", "private address", ""},
		{"metadata", "http://169.254.169.254/latest/meta-data/", "no source may have", "no source may have"},
		{"metadata in hex", "http://0xa9fea9fe/", "host", "host"},
		{"mapped loopback", "http://[::ffff:127.0.0.1]/", "host", "host"},
		{"multicast", "http://224.0.0.1/", "no source may have", "no source may have"},
		{"own listener", s.URL + "/other/", "this server", "this server"},
		{"own listener as localhost", "http://localhost:" + ownPort + "/", "this server", "this server"},
		{"scheme", "file:///etc/passwd", "scheme", "scheme"},
		{"user information", "http://a:b@source.test/", "user information", "user information"},
		{"port", "http://source.test:22/", "port", "port"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for who, want := range map[*keys.Key]string{&user: tt.user, &s.Operator: tt.operator} {
				bucket := fmt.Sprintf("bucket-%d-%t", i, who.Operator)
				got := setMirror(t, s, *who, bucket, tt.site)
				if want == "" {
					if got.status != 200 {
						t.Errorf("operator %t: PUT ?mirror %q = %+v, want 200", who.Operator, tt.site, got)
					}
					continue
				}
				if got.status != 400 || got.code != "invalid_argument" || !strings.Contains(got.message, want) {
					t.Errorf("operator %t: PUT ?mirror %q = %+v, want 400 with a message that has %q", who.Operator, tt.site, got, want)
				}
				if a := ask(t, *who, "GET", s.URL+"/"+bucket+"?mirror", ""); a.status != 404 {
					t.Errorf("operator %t: GET ?mirror after the refusal = %+v, want no setting", who.Operator, a)
				}
			}
		})
	}
	if d := out.dialled(); len(d) != 0 {
		t.Errorf("dialled %v while settings were made, want nobody", d)
	}
}

// A name is judged by what it resolves to when it is fetched from.
func TestNamesAreJudgedWhenTheyAreDialled(t *testing.T) {
	site := cisterntest.NewSite(t, cisterntest.SiteOptions{Objects: map[string]int64{"k": 10}})
	_, sitePort, _ := net.SplitHostPort(strings.TrimPrefix(site.URL(), "http://"))
	out := newOutside(t)
	s := cisterntest.Start(t, out.in())
	_, ownPort, _ := net.SplitHostPort(strings.TrimPrefix(s.URL, "http://"))
	user := s.NewUser()
	out.dns.Set("inside.test", "127.0.0.1")
	out.dns.Set("meta.test", "169.254.169.254")
	out.dns.Set("zero.test", "0.0.0.0")
	for _, tt := range []struct {
		name, site string
		operator   bool // the operator's key may
	}{
		{"inside", "http://inside.test:" + sitePort + "/", true},
		{"metadata", "http://meta.test:" + sitePort + "/", false},
		{"unspecified", "http://zero.test:" + sitePort + "/", false},
		{"own", "http://inside.test:" + ownPort + "/", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, who := range []keys.Key{user, s.Operator} {
				bucket := fmt.Sprintf("%s-%t", tt.name, who.Operator)
				if a := setMirror(t, s, who, bucket, tt.site); a.status != 200 {
					t.Fatalf("PUT ?mirror = %+v, want names judged later", a)
				}
				before := len(out.dialled())
				got := ask(t, who, "GET", s.URL+"/"+bucket+"/k", "")
				dials := out.dialled()[before:]
				if tt.operator && who.Operator {
					if got.status != 200 || len(got.body) != 10 || len(dials) != 1 {
						t.Errorf("the operator's GET = %+v, dialled %v, want the object", got, dials)
					}
					continue
				}
				if got.status != 503 || got.code != "upstream_failed" || len(dials) != 0 {
					t.Errorf("operator %t: GET = %+v, dialled %v, want 503 and nobody dialled", who.Operator, got, dials)
				}
				if strings.Contains(got.message, "127.0.0.1") || strings.Contains(got.message, "169.254") || strings.Contains(got.message, "allowed") {
					t.Errorf("the message %q tells what the name resolves to", got.message)
				}
			}
		})
	}
	if n := site.Requests("k"); n != 1 {
		t.Errorf("the site inside was asked %d times, want once, for the operator", n)
	}
}

// A public source leads nobody inside, and what it sends instead is not kept.
func TestRedirectInsideIsNotFollowed(t *testing.T) {
	canary := cisterntest.NewSite(t, cisterntest.SiteOptions{Objects: map[string]int64{"k": 10}})
	source := cisterntest.NewOrigin(t, func(c *cisterntest.Conn) {
		for {
			if _, ok := c.ReadHead(); !ok {
				return
			}
			c.Respond(302, "elsewhere", "Location: "+canary.URL()+"/k")
		}
	})
	out := newOutside(t)
	out.places[netip.MustParseAddr("93.184.216.34")] = source.Addr()
	s := cisterntest.Start(t, out.in())
	for _, who := range []keys.Key{s.NewUser(), s.Operator} {
		bucket := fmt.Sprintf("moved-%t", who.Operator)
		if a := setMirror(t, s, who, bucket, "http://93.184.216.34/"); a.status != 200 {
			t.Fatalf("PUT ?mirror = %+v", a)
		}
		if a := ask(t, who, "GET", s.URL+"/"+bucket+"/k", ""); a.status != 503 || a.code != "upstream_failed" {
			t.Errorf("operator %t: GET = %+v, want 503", who.Operator, a)
		}
		if a := ask(t, who, "GET", s.URL+"/"+bucket, ""); a.status != 200 || strings.Contains(a.body, `"k"`) {
			t.Errorf("operator %t: the list is %+v, want nothing stored", who.Operator, a)
		}
	}
	if n := canary.Requests("k"); n != 0 {
		t.Errorf("the host inside was asked %d times, want never", n)
	}
	for _, to := range out.dialled() {
		if to.String() != "93.184.216.34:80" {
			t.Errorf("dialled %v, want the source only", to)
		}
	}
}

// The rows of the vectors' file that only a whole server can show.
var vectorsEndToEnd = map[string]func(*testing.T){
	// A fetch has the guard of fills: what a user may not reach by a mirror, he may not reach by this, either. The operator's fetches may go to
	// private addresses as the operator's mirrors may, but not to this server.
	"FS01": fetchSource("http://127.0.0.1:SOURCE/x", "", 400, 201),
	"FS03": fetchSource("http://loop.test:SOURCE/x", "", 503, 201),
	"FS05": fetchSource("file:///etc/passwd", "", 400, 400),
	"FS07": fetchSource("http://user:pw@ok.test:SOURCE/x", "", 400, 400),
	"FS09": fetchSource("http://loop.test:SOURCE/x", "a body, too", 400, 400),
	"FS10": fetchSource("http://self.test:SELF/other-bucket/secret", "", 503, 503),

	"RL01": notForwarded("Host: 169.254.169.254"),
	"RL02": notForwarded("X-Forwarded-Host: evil.test", "X-Forwarded-For: 127.0.0.1", "Forwarded: host=evil.test", "Via: 1.1 evil"),
	"RL04": notForwarded("Cookie: a=b", "Proxy-Authorization: Basic YTpi", "X-Amz-Security-Token: secret", "Referer: http://evil.test/?secret"),
	"RL05": notForwarded("Range: bytes=0-4", "If-Range: \"v\"", "If-None-Match: \"w\"", "If-Modified-Since: Mon, 06 May 2024 07:08:09 GMT"),

	"AB04": unansweredAlike,
	"AB05": mirrorOfOneself,
	"AB06": ringOfMirrors,
}

func TestVectorsEndToEnd(t *testing.T) {
	f, err := os.Open("../origin/testdata/ssrf-vectors.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows := map[string]bool{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		field := strings.Split(lines.Text(), "\t")
		switch field[1] {
		case "fetch_source", "abuse", "request-leak":
			rows[field[0]] = true
			if vectorsEndToEnd[field[0]] == nil {
				t.Errorf("the vector %s (%s) has no test", field[0], field[8])
			}
		}
	}
	for id, test := range vectorsEndToEnd {
		if !rows[id] {
			t.Errorf("there is a test for the vector %s, but no such vector", id)
		}
		t.Run(id, test)
	}
}

// fetchSource asks for a fetch, as a user and as the operator, and wants these answers: 201 with the object, or an error with nothing dialled and
// nothing stored. SOURCE is the port of a source on loopback, SELF that of the server.
func fetchSource(address, body string, user, operator int) func(*testing.T) {
	return func(t *testing.T) {
		source := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "fetched") }))
		defer source.Close()
		out := newOutside(t)
		out.dns.Set("*", "127.0.0.1")
		out.places[netip.MustParseAddr("127.0.0.1")] = netip.MustParseAddrPort(source.Listener.Addr().String())
		s := cisterntest.Start(t, out.in())
		_, port, _ := net.SplitHostPort(source.Listener.Addr().String())
		_, self, _ := net.SplitHostPort(strings.TrimPrefix(s.URL, "http://"))
		address := strings.NewReplacer("SOURCE", port, "SELF", self).Replace(address)
		for _, tt := range []struct {
			who  keys.Key
			want int
		}{{s.NewUser(), user}, {s.Operator, operator}} {
			before := len(out.dialled())
			bucket := fmt.Sprintf("target-%t", tt.who.Operator)
			if a := ask(t, tt.who, "PUT", s.URL+"/"+bucket, ""); a.status != 201 {
				t.Fatalf("PUT bucket = %+v", a)
			}
			if a := ask(t, tt.who, "PUT", s.URL+"/"+bucket+"/k", body, "X-Qs-Fetch-Source: "+address); a.status != tt.want {
				t.Errorf("operator %t: PUT with x-qs-fetch-source %q = %+v, want %d", tt.who.Operator, address, a, tt.want)
			}
			a := ask(t, tt.who, "GET", s.URL+"/"+bucket+"/k", "")
			if tt.want == 201 {
				if a.status != 200 || a.body != "fetched" {
					t.Errorf("operator %t: GET afterwards = %+v, want what was fetched", tt.who.Operator, a)
				}
				continue
			}
			if a.status != 404 {
				t.Errorf("operator %t: GET afterwards = %+v, want nothing stored", tt.who.Operator, a)
			}
			if d := out.dialled(); len(d) != before {
				t.Errorf("operator %t: dialled %v, want nobody", tt.who.Operator, d[before:])
			}
		}
	}
}

// notForwarded sends a request that misses, with these lines, and looks at what the source is sent.
func notForwarded(lines ...string) func(*testing.T) {
	return func(t *testing.T) {
		source := cisterntest.NewOrigin(t, func(c *cisterntest.Conn) {
			for {
				if _, ok := c.ReadHead(); !ok {
					return
				}
				c.Respond(200, "0123456789", `ETag: "v"`, "Accept-Ranges: bytes")
			}
		})
		out := newOutside(t)
		out.dns.Set("ok.test", "93.184.216.34")
		out.places[netip.MustParseAddr("93.184.216.34")] = source.Addr()
		s := cisterntest.Start(t, out.in())
		at := s.Mirror("demo", "http://ok.test/base/")
		for _, method := range []string{"GET", "HEAD"} {
			ask(t, keys.Key{}, method, at+method, "", lines...)
		}
		ask(t, s.Operator, "GET", at+"GET-signed", "", lines...) // a signature is the client's secret, too
		got := source.Requests()
		if len(got) < 3 {
			t.Fatalf("the source was asked %d times, want once for each request", len(got))
		}
		for _, r := range got {
			if !strings.HasPrefix(r.Target, "/base/"+r.Method) || strings.Contains(r.Target, "?") || r.Header.Get("Host") != "ok.test" {
				t.Errorf("the source was asked %q for the host %q", r.Target, r.Header.Get("Host"))
			}
			for name := range r.Header {
				if !slices.Contains([]string{"Host", "User-Agent", "Accept-Encoding", origin.HopHeader}, name) {
					t.Errorf("the source was sent %s: %s", name, r.Header.Get(name))
				}
			}
		}
	}
}

// Who chooses the source learns nothing from the answer of what stands in the server's network.
func unansweredAlike(t *testing.T) {
	out := newOutside(t)
	out.dns.Set("inside.test", "127.0.0.1")
	s := cisterntest.Start(t, out.in())
	user := s.NewUser()
	answers := map[string]said{}
	for name, site := range map[string]string{
		"blocked":   "http://inside.test:8081/",
		"refused":   "http://93.184.216.34:8081/",
		"timed-out": "http://" + silentAddr.String() + ":8081/",
		"no-name":   "http://none.test/",
	} {
		if a := setMirror(t, s, user, name, site); a.status != 200 {
			t.Fatalf("PUT ?mirror %s = %+v", site, a)
		}
		for _, method := range []string{"GET", "HEAD"} {
			a := ask(t, user, method, s.URL+"/"+name+"/k", "")
			if method == "GET" {
				a.body = ""
				answers[name] = a
			} else if a.status != 503 {
				t.Errorf("%s: HEAD = %+v, want 503", name, a)
			}
		}
	}
	for name, a := range answers {
		if a.status != 503 || a.code != "upstream_failed" || a != answers["refused"] {
			t.Errorf("%s: the client is told %+v, want %+v as of a source that refuses the connection", name, a, answers["refused"])
		}
	}
	// The setting's own judgement asks nobody, so it takes no longer and says no more of an address where something listens.
	before := len(out.dialled())
	listens := cisterntest.NewSite(t, cisterntest.SiteOptions{})
	open, shut := setMirror(t, s, user, "open", listens.URL()), setMirror(t, s, user, "shut", "http://127.0.0.1:1024/")
	if open.status != 400 || open.code != shut.code || open.message != shut.message {
		t.Errorf("a setting of an open port is answered %+v, of a shut one %+v", open, shut)
	}
	if d := out.dialled()[before:]; len(d) != 0 {
		t.Errorf("dialled %v for a setting", d)
	}
}

// A bucket that mirrors another of the same server would make it wait for itself.
func mirrorOfOneself(t *testing.T) {
	out := newOutside(t)
	out.dns.Set("self.test", "127.0.0.1")
	s := cisterntest.Start(t, out.in())
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(s.URL, "http://"))
	for _, bucket := range []string{"loop-a", "loop-b"} {
		other := map[string]string{"loop-a": "loop-b", "loop-b": "loop-a"}[bucket]
		if a := setMirror(t, s, s.Operator, bucket, s.URL+"/"+other+"/"); a.status != 400 || !strings.Contains(a.message, "this server") {
			t.Errorf("PUT ?mirror with the server's own address = %+v, want 400", a)
		}
		if a := setMirror(t, s, s.Operator, bucket, "http://self.test:"+port+"/"+other+"/"); a.status != 200 {
			t.Errorf("PUT ?mirror with a name = %+v, want it judged later", a)
		}
	}
	if a := ask(t, s.Operator, "GET", s.URL+"/loop-a/k", ""); a.status != 503 || a.code != "upstream_failed" {
		t.Errorf("GET = %+v, want 503", a)
	}
	if d := out.dialled(); len(d) != 0 {
		t.Errorf("dialled %v, want nobody", d)
	}
}

// Servers that mirror one another end with an error, not by waiting for one another until somebody loses patience.
func ringOfMirrors(t *testing.T) {
	for _, size := range []int{2, 3, 5} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			servers := make([]*cisterntest.Server, size)
			for i := range servers {
				servers[i] = cisterntest.Start(t, newOutside(t).in())
			}
			for i, s := range servers {
				s.Mirror("ring", servers[(i+1)%size].URL+"/ring/")
			}
			for _, method := range []string{"GET", "HEAD"} {
				a := ask(t, keys.Key{}, method, servers[0].URL+"/ring/"+method, "")
				if a.status != 503 || method == "GET" && a.code != "upstream_failed" {
					t.Errorf("%s = %+v, want 503", method, a)
				}
			}
		})
	}
}
