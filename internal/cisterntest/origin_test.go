package cisterntest_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cisternhq/cistern/internal/cisterntest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// client returns a client whose connections end with the test.
func client(t *testing.T) *http.Client {
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func get(t *testing.T, url string, header ...string) (*http.Response, []byte, error) {
	t.Helper()
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := client(t).Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, body, err
}

func TestScriptDecidesEveryByte(t *testing.T) {
	gate := cisterntest.NewGate()
	o := cisterntest.NewOrigin(t, func(c *cisterntest.Conn) {
		r, ok := c.ReadHead()
		if !ok {
			return
		}
		switch r.Target {
		case "/plain":
			c.Respond(200, "hello", "X-Test: 1")
		case "/chunked":
			c.Head(200, "Transfer-Encoding: chunked")
			c.Chunk("hel")
			c.Wait(gate)
			c.Chunk("lo")
			c.LastChunk()
		case "/cut":
			c.Send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
		case "/reset":
			c.Reset()
		case "/hang":
			c.Hang()
		}
	})
	if resp, body, err := get(t, o.URL()+"/plain"); err != nil || string(body) != "hello" || resp.Header.Get("X-Test") != "1" {
		t.Errorf("/plain = %q, %v", body, err)
	}
	resp, err := client(t).Get(o.URL() + "/chunked")
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 3)
	if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != "hel" {
		t.Errorf("before the gate: %q, %v", first, err)
	}
	gate.Release()
	if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != "lo" {
		t.Errorf("after the gate: %q, %v", rest, err)
	}
	resp.Body.Close()
	if _, body, err := get(t, o.URL()+"/cut"); !errors.Is(err, io.ErrUnexpectedEOF) || string(body) != "short" {
		t.Errorf("/cut = %q, %v; want an unexpected end", body, err)
	}
	if _, _, err := get(t, o.URL()+"/reset"); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
		t.Errorf("/reset = %v, want a reset", err)
	}
	if got := o.Accepts(); got < 4 {
		t.Errorf("Accepts() = %d, want at least 4", got)
	}
	r := o.Requests()[0]
	if r.Method != "GET" || !strings.HasPrefix(r.Raw, "GET /plain HTTP/1.1\r\n") || r.Header.Get("User-Agent") == "" {
		t.Errorf("Requests()[0] = %+v", r)
	}
}

func TestCloseEndsHangingConnections(t *testing.T) {
	began := make(chan struct{})
	o := cisterntest.NewOrigin(t, func(c *cisterntest.Conn) {
		c.ReadHead()
		close(began)
		c.Hang()
	})
	done := make(chan error, 1)
	cl := client(t)
	go func() {
		resp, err := cl.Get(o.URL())
		if err == nil {
			resp.Body.Close()
		}
		done <- err
	}()
	<-began
	o.Close()
	if err := <-done; err == nil {
		t.Error("a hanging request succeeded")
	}
}

func TestSiteServesTheSameBytesAlways(t *testing.T) {
	s := cisterntest.NewSite(t, cisterntest.SiteOptions{Objects: map[string]int64{"a/b.bin": 100_001, "empty": 0}})
	c := cisterntest.NewContent("a/b.bin", 100_001)
	resp, body, err := get(t, s.URL()+"/a/b.bin")
	if err != nil || resp.StatusCode != 200 || !bytes.Equal(body, c.Bytes()) || resp.Header.Get("ETag") != c.ETag() {
		t.Errorf("GET = %v, %d bytes, %v", resp, len(body), err)
	}
	resp, body, err = get(t, s.URL()+"/a/b.bin", "Range", "bytes=99999-", "If-Range", c.ETag())
	if err != nil || resp.StatusCode != 206 || !bytes.Equal(body, c.Bytes()[99_999:]) {
		t.Errorf("GET of a range = %v, %q, %v", resp.Status, body, err)
	}
	if resp, body, err := get(t, s.URL()+"/empty"); err != nil || resp.StatusCode != 200 || len(body) != 0 {
		t.Errorf("GET of an empty object = %v, %q, %v", resp, body, err)
	}
	if resp, _, err := get(t, s.URL()+"/gone"); err != nil || resp.StatusCode != 404 {
		t.Errorf("GET of a missing object = %v, %v", resp, err)
	}
	if n, sent := s.Requests("a/b.bin"), s.Sent("a/b.bin"); n != 2 || sent != 100_003 {
		t.Errorf("Requests, Sent = %d, %d; want 2, 100003", n, sent)
	}
}

func TestSiteCanBePlain(t *testing.T) {
	s := cisterntest.NewSite(t, cisterntest.SiteOptions{Objects: map[string]int64{"k": 10}, NoRanges: true, NoValidators: true})
	resp, body, err := get(t, s.URL()+"/k", "Range", "bytes=1-2")
	if err != nil || resp.StatusCode != 200 || len(body) != 10 {
		t.Fatalf("GET of a range = %v, %d bytes, %v; want all of it", resp, len(body), err)
	}
	for _, name := range []string{"ETag", "Last-Modified", "Accept-Ranges"} {
		if v := resp.Header.Get(name); v != "" {
			t.Errorf("%s = %q, want none", name, v)
		}
	}
}

func TestThrottle(t *testing.T) {
	s := cisterntest.NewSite(t, cisterntest.SiteOptions{Objects: map[string]int64{"k": 20_000}, Rate: 200_000})
	begun := time.Now()
	if _, body, err := get(t, s.URL()+"/k"); err != nil || len(body) != 20_000 {
		t.Fatalf("GET = %d bytes, %v", len(body), err)
	}
	if took := time.Since(begun); took < 80*time.Millisecond {
		t.Errorf("20 kB at 200 kB/s took %v, want about 100 ms", took)
	}
}

func TestContentCheck(t *testing.T) {
	c := cisterntest.NewContent("k", 200_000)
	if err := c.Check(c.Reader(), 0, 200_000); err != nil {
		t.Error(err)
	}
	if err := c.Check(io.NewSectionReader(c, 77, 100), 77, 100); err != nil {
		t.Error(err)
	}
	wrong := c.Bytes()
	wrong[150_000]++
	for name, r := range map[string]io.Reader{
		"byte 150000":               bytes.NewReader(wrong),
		"199999 bytes, want 200000": io.NewSectionReader(c, 0, 199_999),
		"more than 200000":          io.MultiReader(c.Reader(), strings.NewReader("x")),
	} {
		if err := c.Check(r, 0, 200_000); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("Check = %v, want an error with %q", err, name)
		}
	}
	if fmt.Sprint(cisterntest.NewContent("k", 5).Bytes()) == fmt.Sprint(cisterntest.NewContent("l", 5).Bytes()) {
		t.Error("two keys have the same content")
	}
}
