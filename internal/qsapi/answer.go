package qsapi

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/cisternhq/cistern/internal/object"
)

// block is how much of an answer the client must take within Options.WriteStall, in bytes.
const block = 512 << 10

// answer is the response being written. It counts, sets deadlines, and sends the head only when the first byte of the body is there, so that
// what fails before that can still be answered honestly. It keeps io.ReaderFrom, because sendfile hangs on it.
type answer struct {
	rw    http.ResponseWriter
	rc    *http.ResponseController
	head  bool // the request is a HEAD: no body
	began time.Time

	stall    time.Duration
	extended time.Time // when the write deadline was set last

	pending int  // the status that the first byte sends
	prompt  bool // every write is sent on at once: the body arrives slowly
	wrote   bool // the head is out

	kept        [][2]string // header fields that every answer to this request has
	status      int
	sent        int64
	firstByte   time.Duration
	cache       Cache
	cacheStatus string
}

var (
	_ http.ResponseWriter = (*answer)(nil)
	_ io.ReaderFrom       = (*answer)(nil)
	_ http.Flusher        = (*answer)(nil)
)

func newAnswer(rw http.ResponseWriter, r *http.Request, stall time.Duration, began time.Time) *answer {
	w := &answer{rw: rw, rc: http.NewResponseController(rw), head: r.Method == http.MethodHead, stall: stall, began: began}
	w.extend(began) // for what net/http writes by itself, such as 100 Continue
	return w
}

func (w *answer) Header() http.Header { return w.rw.Header() }

// Unwrap is for http.ResponseController.
func (w *answer) Unwrap() http.ResponseWriter { return w.rw }

// base sets the header fields of every answer.
func (w *answer) base(id string) {
	h := w.Header()
	h["Server"] = []string{"Cistern"}
	h["X-Qs-Request-Id"] = []string{id}
	for _, f := range w.kept {
		h[f[0]] = []string{f[1]}
	}
}

// lasting sets a header field that the answer has also if it becomes an error.
func (w *answer) lasting(name, value string) {
	w.kept = append(w.kept, [2]string{name, value})
	w.Header()[name] = []string{value}
}

// reset forgets the header fields of an answer that will not be given, but those that say how the connection goes on.
func (w *answer) reset(id string) {
	h := w.Header()
	for name := range h {
		if name != "Connection" && name != "Allow" {
			delete(h, name)
		}
	}
	w.base(id)
	w.pending = 0
}

// extend gives the client time for one more block. Where deadlines are not supported there are none.
func (w *answer) extend(now time.Time) {
	if now.Sub(w.extended) < w.stall/16 && !w.extended.IsZero() {
		return
	}
	w.extended = now
	_ = w.rc.SetWriteDeadline(now.Add(w.stall))
}

// begin sets the status that goes out with the first byte of the body, or with end.
func (w *answer) begin(status int) { w.pending = status }

// WriteHeader sends the head.
func (w *answer) WriteHeader(status int) {
	if w.wrote {
		return
	}
	w.wrote, w.status = true, status
	now := time.Now()
	w.firstByte = now.Sub(w.began)
	w.extended = time.Time{} // the wait for the first byte may have been long
	w.extend(now)
	w.rw.WriteHeader(status)
}

func (w *answer) ensureHead() {
	if w.wrote {
		return
	}
	if w.pending == 0 {
		w.pending = http.StatusOK
	}
	w.WriteHeader(w.pending)
}

// Write sends a part of the body.
func (w *answer) Write(p []byte) (int, error) {
	w.ensureHead()
	var done int
	for len(p) > 0 {
		w.extend(time.Now())
		n, err := w.rw.Write(p[:min(len(p), block)])
		done += n
		w.sent += int64(n)
		if err != nil {
			return done, err
		}
		p = p[n:]
	}
	return done, w.push()
}

// push sends on what is buffered where that is wanted.
func (w *answer) push() error {
	if !w.prompt {
		return nil
	}
	if err := w.rc.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// ReadFrom sends a body from src. A file is sent in blocks, each with its own deadline and each by sendfile where the platform can.
func (w *answer) ReadFrom(src io.Reader) (int64, error) {
	from, ok := w.rw.(io.ReaderFrom)
	limited, isLimited := src.(*io.LimitedReader)
	if ok && isLimited {
		if _, isFile := limited.R.(*os.File); isFile {
			return w.sendFile(from, limited)
		}
	}
	return io.Copy(writerOnly{w}, src)
}

func (w *answer) sendFile(to io.ReaderFrom, src *io.LimitedReader) (int64, error) {
	if src.N <= 0 {
		return 0, nil
	}
	w.ensureHead()
	var done int64
	for src.N > 0 {
		w.extend(time.Now())
		part := &io.LimitedReader{R: src.R, N: min(src.N, block)}
		n, err := to.ReadFrom(part)
		done += n
		w.sent += n
		src.N -= n
		if n > 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			w.extended = time.Time{} // slow, but it takes something
			continue
		}
		if err != nil {
			return done, err
		}
		if err := w.push(); err != nil {
			return done, err
		}
		if part.N > 0 { // the file ends early
			return done, nil
		}
	}
	return done, nil
}

// writerOnly hides ReadFrom from io.Copy.
type writerOnly struct{ io.Writer }

// Flush sends on what is buffered.
func (w *answer) Flush() {
	w.ensureHead()
	w.extend(time.Now())
	_ = w.rc.Flush() // the next write meets what went wrong
}

// end sends the head of an answer whose body had no byte.
func (w *answer) end() { w.ensureHead() }

// empty answers with a status and no body.
func (w *answer) empty(status int) error {
	if status != http.StatusNoContent && status != http.StatusNotModified {
		w.Header()["Content-Length"] = []string{"0"}
	}
	w.WriteHeader(status)
	return nil
}

// document answers with a JSON document. Clients compare the type as a whole.
func (w *answer) document(status int, doc []byte) error {
	h := w.Header()
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(len(doc))}
	w.begin(status)
	if w.head {
		w.end()
		return nil
	}
	_, err := w.Write(doc)
	return err
}

// body is a request's body. Its client has to send something before each stall is over, and what goes wrong with it is the client's.
type body struct {
	from     io.Reader
	rc       *http.ResponseController
	stall    time.Duration
	extended time.Time
	n        int64 // bytes read
	limit    int64 // most bytes, 0: any number
}

func newBody(rw http.ResponseWriter, r *http.Request, stall time.Duration) *body {
	b := &body{from: r.Body, rc: http.NewResponseController(rw), stall: stall}
	if r.ContentLength != 0 {
		// Also for a body that nobody will read: net/http reads the rest of it before it answers.
		b.extend(time.Now())
	}
	return b
}

func (b *body) extend(now time.Time) {
	if now.Sub(b.extended) < b.stall/16 {
		return
	}
	b.extended = now
	_ = b.rc.SetReadDeadline(now.Add(b.stall))
}

// Read reads on. An error other than io.EOF matches object.ErrIncompleteBody or object.ErrTooLarge.
func (b *body) Read(p []byte) (int, error) {
	if b.from == nil || b.from == http.NoBody {
		return 0, io.EOF
	}
	b.extend(time.Now())
	n, err := b.from.Read(p)
	b.n += int64(n)
	if b.limit > 0 && b.n > b.limit {
		return n, object.Explain(object.ErrTooLarge, "the body has more than %d bytes", b.limit)
	}
	switch {
	case err == io.EOF:
		// The connection is read on in the background from here, to see whether the client stays. A deadline left behind would look
		// like its going away.
		_ = b.rc.SetReadDeadline(time.Time{})
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = &object.Explained{Kind: object.ErrIncompleteBody, Text: "no byte of the body came for " + b.stall.String(), Cause: err}
	case err != nil:
		err = &object.Explained{Kind: object.ErrIncompleteBody, Text: "the body ended before its announced length, or is not validly chunked", Cause: err}
	}
	return n, err
}
