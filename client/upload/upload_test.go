package upload

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/cisternhq/cistern/config"
	qserrors "github.com/cisternhq/cistern/request/errors"
	"github.com/cisternhq/cistern/service"
)

const mib = 1 << 20

// store is the part of the API that uploads use, in memory.
type store struct {
	mu      sync.Mutex // guards what follows
	objects map[string][]byte
	types   map[string]string
	uploads map[string]map[int][]byte
	kinds   map[string]string // of uploads
	sent    []int             // the parts that were sent
	ids     int
	now     int // parts on their way
	most    int // of them at once

	// before is called ahead of each part; false refuses it with 403.
	before func(number int) bool
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q, key := r.URL.Query(), r.URL.Path
	id := q.Get("upload_id")
	refuse := func(status int, code string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"code":%q}`, code)
	}
	if r.Method == http.MethodPut && q.Has("part_number") {
		number, _ := strconv.Atoi(q.Get("part_number"))
		s.mu.Lock()
		s.now++
		s.most = max(s.most, s.now)
		s.mu.Unlock()
		ok := s.before == nil || s.before(number)
		defer func() {
			s.mu.Lock()
			s.now--
			s.mu.Unlock()
		}()
		if !ok {
			refuse(403, "permission_denied")
			return
		}
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	parts := s.uploads[id]
	switch {
	case id != "" && parts == nil && r.Method == http.MethodDelete:
		w.WriteHeader(204)
	case id != "" && parts == nil:
		refuse(404, "upload_not_exists")
	case r.Method == http.MethodPost && q.Has("uploads"):
		s.ids++
		id := fmt.Sprint("u", s.ids)
		s.uploads[id] = map[int][]byte{}
		s.kinds[id] = r.Header.Get("Content-Type")
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"upload_id":%q}`, id)
	case r.Method == http.MethodPut && id != "":
		number, _ := strconv.Atoi(q.Get("part_number"))
		parts[number] = body
		s.sent = append(s.sent, number)
		w.Header().Set("ETag", tag(body))
		w.WriteHeader(201)
	case r.Method == http.MethodGet && id != "":
		marker := -1
		if m := q.Get("part_number_marker"); m != "" {
			marker, _ = strconv.Atoi(m)
		}
		var list []map[string]any
		for number := range parts {
			if number > marker {
				list = append(list, map[string]any{"part_number": number, "size": len(parts[number]), "etag": tag(parts[number])})
			}
		}
		slices.SortFunc(list, func(a, b map[string]any) int { return a["part_number"].(int) - b["part_number"].(int) })
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"object_parts": list[:min(len(list), 2)]})
	case r.Method == http.MethodPost && id != "":
		var in struct {
			Parts []struct {
				Number int    `json:"part_number"`
				Etag   string `json:"etag"`
			} `json:"object_parts"`
		}
		if err := json.Unmarshal(body, &in); err != nil {
			refuse(400, "invalid_json")
			return
		}
		whole := []byte{}
		for i, p := range in.Parts {
			switch content, ok := parts[p.Number]; {
			case !ok, p.Etag != tag(content):
				refuse(400, "invalid_argument")
				return
			case i < len(in.Parts)-1 && len(content) < smallestPart:
				refuse(400, "entity_too_small")
				return
			default:
				whole = append(whole, content...)
			}
		}
		s.objects[key], s.types[key] = whole, s.kinds[id]
		delete(s.uploads, id)
		w.WriteHeader(201)
	case r.Method == http.MethodDelete && id != "":
		delete(s.uploads, id)
		w.WriteHeader(204)
	case r.Method == http.MethodPut:
		s.objects[key], s.types[key] = body, r.Header.Get("Content-Type")
		w.WriteHeader(201)
	default:
		refuse(400, "invalid_argument")
	}
}

func tag(b []byte) string {
	sum := md5.Sum(b)
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

func openStore(t *testing.T) (*store, *service.Bucket) {
	t.Helper()
	s := &store{objects: map[string][]byte{}, types: map[string]string{}, uploads: map[string]map[int][]byte{}, kinds: map[string]string{}}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	t.Setenv(config.EnvEndpoint, srv.URL)
	c, err := config.New("id", "secret")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Connection.CloseIdleConnections)
	sv, _ := service.Init(c)
	b, _ := sv.Bucket("mybucket", "")
	return s, b
}

func content(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return b
}

// stream hides all but Read, and reads in odd pieces.
type stream struct{ io.Reader }

func (s stream) Read(p []byte) (int, error) { return s.Reader.Read(p[:min(len(p), 99_991)]) }

// seeker can seek, but not be read at an offset.
type seeker struct{ io.ReadSeeker }

// Whatever the body can do, the object is the body, and parts are what is promised.
func TestUpload(t *testing.T) {
	tests := []struct {
		name  string
		size  int
		parts int // 0: put at once
	}{
		{"empty", 0, 0},
		{"small", 10, 0},
		{"one byte below a part", 4*mib - 1, 0},
		{"exactly two parts", 10 * mib, 2},
		{"a short last part", 11*mib + 7, 3},
	}
	kinds := map[string]func(t *testing.T, b []byte) io.Reader{
		"a reader at offsets": func(_ *testing.T, b []byte) io.Reader { return bytes.NewReader(b) },
		"a seeker":            func(_ *testing.T, b []byte) io.Reader { return seeker{bytes.NewReader(b)} },
		"a stream":            func(_ *testing.T, b []byte) io.Reader { return stream{bytes.NewReader(b)} },
		"a file, read to its end already": func(t *testing.T, b []byte) io.Reader {
			name := filepath.Join(t.TempDir(), "f")
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { f.Close() })
			if _, err := io.Copy(io.Discard, f); err != nil {
				t.Fatal(err)
			}
			return f
		},
	}
	for _, tt := range tests {
		for kind, open := range kinds {
			t.Run(tt.name+", "+kind, func(t *testing.T) {
				s, b := openStore(t)
				want := content(tt.size)
				u := Init(b, 5*mib)
				u.Object = &service.InitiateMultipartUploadInput{ContentType: service.String("image/png")}
				if err := u.Upload(open(t, want), "k"); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(s.objects["/mybucket/k"], want) || s.types["/mybucket/k"] != "image/png" {
					t.Errorf("the object has %d bytes of %s, want the %d of image/png that were sent", len(s.objects["/mybucket/k"]), s.types["/mybucket/k"], len(want))
				}
				if len(s.sent) != tt.parts || len(s.uploads) != 0 || s.most > defaultParallel {
					t.Errorf("%d parts were sent, %d at once, and %d uploads are left; want %d, at most %d, and none", len(s.sent), s.most, len(s.uploads), tt.parts, defaultParallel)
				}
			})
		}
	}
}

func TestPartSizeTooSmall(t *testing.T) {
	_, b := openStore(t)
	u := Init(b, mib)
	if err := u.Upload(bytes.NewReader(content(mib)), "k"); err != nil {
		t.Errorf("Upload of what needs no parts = %v, want nil", err)
	}
	for name, body := range map[string]io.Reader{"known": bytes.NewReader(content(5 * mib)), "unknown": stream{bytes.NewReader(content(5 * mib))}} {
		if err := u.Upload(body, "k"); err == nil || err.Error() != "the part size is too small" {
			t.Errorf("Upload of %s length = %v, want that the part size is too small", name, err)
		}
	}
	if err := u.Resume(t.Context(), bytes.NewReader(nil), "k", "u"); !errors.Is(err, errPartSize) {
		t.Errorf("Resume = %v, want that the part size is too small", err)
	}
}

// All parts are on their way at once, but no more than allowed: each waits until the others are there.
func TestParallel(t *testing.T) {
	s, b := openStore(t)
	var there sync.WaitGroup
	there.Add(3)
	s.before = func(number int) bool {
		if number < 3 {
			there.Done()
			there.Wait()
		}
		return true
	}
	u := Init(b, 4*mib)
	u.Parallel = 3
	if err := u.Upload(bytes.NewReader(content(26*mib)), "k"); err != nil {
		t.Fatal(err)
	}
	if s.most != 3 {
		t.Errorf("%d parts were on their way at once, want 3", s.most)
	}
}

// A failure deletes what was sent, also if it is the caller who went away.
func TestFailureAborts(t *testing.T) {
	for name, body := range map[string]io.Reader{"at offsets": bytes.NewReader(content(30 * mib)), "stream": stream{bytes.NewReader(content(30 * mib))}} {
		t.Run(name, func(t *testing.T) {
			s, b := openStore(t)
			s.before = func(number int) bool { return number != 2 }
			err := Init(b, 4*mib).Upload(body, "k")
			var refused *qserrors.QingStorError
			if !errors.As(err, &refused) || refused.Code != "permission_denied" {
				t.Errorf("Upload = %v, want permission_denied", err)
			}
			if len(s.uploads) != 0 || len(s.objects) != 0 {
				t.Errorf("%d uploads and %d objects are left, want none", len(s.uploads), len(s.objects))
			}
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		s, b := openStore(t)
		ctx, cancel := context.WithCancel(t.Context())
		s.before = func(number int) bool {
			if number == 1 {
				cancel()
			}
			return true
		}
		if err := Init(b, 4*mib).UploadWithContext(ctx, bytes.NewReader(content(30*mib)), "k"); !errors.Is(err, context.Canceled) {
			t.Errorf("Upload = %v, want context.Canceled", err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.uploads) != 0 {
			t.Errorf("%d uploads are left, want none", len(s.uploads))
		}
	})
	t.Run("a body that breaks", func(t *testing.T) {
		s, b := openStore(t)
		broken := errors.New("broken")
		err := Init(b, 4*mib).Upload(io.MultiReader(bytes.NewReader(content(9*mib)), failing{broken}), "k")
		if !errors.Is(err, broken) || len(s.uploads) != 0 {
			t.Errorf("Upload = %v with %d uploads left, want the reader's error and none", err, len(s.uploads))
		}
	})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// An upload that was interrupted goes on: what is there is not sent again, what differs is.
func TestResume(t *testing.T) {
	want := content(23*mib + 5)
	kinds := map[string]func() io.Reader{
		"at offsets": func() io.Reader { return bytes.NewReader(want) }, "stream": func() io.Reader { return stream{bytes.NewReader(want)} },
	}
	for kind, body := range kinds {
		t.Run(kind, func(t *testing.T) {
			s, b := openStore(t)
			s.before = func(number int) bool { return number != 3 }
			u := Init(b, 5*mib)
			u.Keep, u.Parallel = true, 1
			err := u.Upload(body(), "k")
			var incomplete *IncompleteError
			var refused *qserrors.QingStorError
			if !errors.As(err, &incomplete) || incomplete.Key != "k" || !errors.As(err, &refused) {
				t.Fatalf("Upload = %v, want an IncompleteError of k around the server's", err)
			}
			if !slices.Equal(s.sent, []int{0, 1, 2}) {
				t.Fatalf("parts %v were sent, want 0, 1 and 2", s.sent)
			}
			s.uploads[incomplete.UploadID][1][7]++ // as if another file had been there
			s.before, s.sent = nil, nil
			if err := Init(b, 8*mib).Resume(t.Context(), body(), "k", incomplete.UploadID); err != nil {
				t.Fatal(err)
			}
			slices.Sort(s.sent)
			if !slices.Equal(s.sent, []int{1, 3, 4}) {
				t.Errorf("parts %v were sent again, want 1, which differed, 3 and 4", s.sent)
			}
			if !bytes.Equal(s.objects["/mybucket/k"], want) || len(s.uploads) != 0 {
				t.Errorf("the object has %d bytes, and %d uploads are left; want the %d that were sent, and none", len(s.objects["/mybucket/k"]), len(s.uploads), len(want))
			}
			err = Init(b, 5*mib).Resume(t.Context(), body(), "k", incomplete.UploadID)
			if !errors.As(err, &refused) || refused.Code != "upload_not_exists" {
				t.Errorf("Resume after completion = %v, want upload_not_exists", err)
			}
		})
	}
}

// A file that becomes shorter is no object.
func TestBodyBecomesShorter(t *testing.T) {
	s, b := openStore(t)
	err := Init(b, 4*mib).Upload(shrinking{bytes.NewReader(content(9 * mib))}, "k")
	if !errors.Is(err, io.ErrUnexpectedEOF) || len(s.objects) != 0 {
		t.Errorf("Upload = %v with %d objects, want io.ErrUnexpectedEOF and none", err, len(s.objects))
	}
}

type shrinking struct{ r *bytes.Reader }

func (s shrinking) Read(p []byte) (int, error) { return s.r.Read(p) }
func (s shrinking) Seek(o int64, w int) (int64, error) {
	n, err := s.r.Seek(o, w)
	return n + int64(w/2)*mib, err
}

// No object has more parts than the API allows, whether its size is known or not.
func TestPartsFit(t *testing.T) {
	const tib = 1 << 40
	for _, size := range []int64{40000 * mib, 40000*mib + 1, tib, 48 * tib} {
		s := &source{size: size, at: zeros{}}
		partSize := max(4*mib, (size+maxParts-1)/maxParts)
		number := 0
		for ; ; number++ {
			p, err := s.next(number, grown(partSize, number, false), nil)
			if err != nil {
				t.Fatal(err)
			}
			if p == nil {
				break
			}
		}
		if number > maxParts || s.offset != size {
			t.Errorf("%d bytes are %d parts of %d bytes in all, want at most %d", size, number, s.offset, maxParts)
		}
	}
	if got := grown(8*mib, maxParts-1, true); got != 128*mib {
		t.Errorf("the last part of an endless body has %d bytes, want 16 times the first", got)
	}
	if got := grown(8*tib, 9999, true); got != largestPart {
		t.Errorf("a part has %d bytes, want at most %d", got, int64(largestPart))
	}
}

type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) { clear(p); return len(p), nil }
