package qsapi_test

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/image/tiff"
	"golang.org/x/image/webp"

	"github.com/cisternhq/cistern/internal/sign"
)

// photo is a JPEG with something to be seen in it.
func photo(t testing.TB, w, h int) string {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.SetRGBA(x, y, color.RGBA{uint8(x * 255 / w), uint8(y * 255 / h), 128, 255})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// dot is a PNG of one colour.
func dot(t testing.TB, w, h int, c color.Color) string {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.Set(x, y, c)
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// imageSize decodes a result and returns its size.
func imageSize(t testing.TB, r reply) image.Point {
	t.Helper()
	var img image.Image
	var err error
	body := strings.NewReader(r.body)
	switch kind := r.Header.Get("Content-Type"); kind {
	case "image/jpeg":
		img, err = jpeg.Decode(body)
	case "image/png":
		img, err = png.Decode(body)
	case "image/webp":
		img, err = webp.Decode(body)
	case "image/tiff":
		img, err = tiff.Decode(body)
	default:
		t.Fatalf("Content-Type = %q", kind)
	}
	if err != nil {
		t.Fatalf("the result does not decode: %v", err)
	}
	return img.Bounds().Size()
}

func imaging(t testing.TB) *site {
	s := start(t, nil)
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket"}, 201, "")
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket/test.jpg", body: photo(t, 640, 480)}, 201, "")
	return s
}

// pngHead is a PNG that ends where its pixels would begin.
func pngHead(w, h uint32) string {
	chunk := []byte("IHDR")
	chunk = binary.BigEndian.AppendUint32(chunk, w)
	chunk = binary.BigEndian.AppendUint32(chunk, h)
	chunk = append(chunk, 8, 2, 0, 0, 0)
	file := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\r"), chunk...)
	return string(binary.BigEndian.AppendUint32(file, crc32.ChecksumIEEE(chunk))) + "\x00\x00\x00\x00IDAT"
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// The official SDKs' own scenarios, but for the address of the watermark, which is out on the internet.
func TestImageScenarios(t *testing.T) {
	s := imaging(t)
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket/logo.png", body: dot(t, 50, 20, color.RGBA{255, 0, 0, 255})}, 201, "")
	logo := b64("http://" + s.addr + "/my-bucket/logo.png")
	for _, tt := range []struct {
		action, kind string
		w, h         int
	}{
		{"crop:w_300", "image/jpeg", 300, 480},
		{"crop:w_300,h_400", "image/jpeg", 300, 400},
		{"crop:w_300,h_400,g_0", "image/jpeg", 300, 400},
		{"crop:w_300,h_400,g_1", "image/jpeg", 300, 400},
		{"crop:w_300,h_400,g_2", "image/jpeg", 300, 400},
		{"rotate:a_90", "image/jpeg", 480, 640},
		{"rotate:a_180", "image/jpeg", 640, 480},
		{"rotate:a_270", "image/jpeg", 480, 640},
		{"resize:w_500,h_500", "image/jpeg", 500, 500},
		{"resize:w_500,h_500,m_2", "image/jpeg", 500, 375},
		{"watermark:t_5rC05Y2w5paH5a2X,p_0.5", "image/jpeg", 640, 480},
		{"watermark:t_5rC05Y2w5paH5a2X,p_0.5,d_150", "image/jpeg", 640, 480},
		{"watermark_image:u_" + logo + ",l_10,t_10,p_2", "image/jpeg", 640, 480},
		{"format:t_jpeg", "image/jpeg", 640, 480},
		{"format:t_png", "image/png", 640, 480},
		{"format:t_webp", "image/webp", 640, 480},
		{"format:t_tiff", "image/tiff", 640, 480},
		{"crop:w_300|rotate:a_90|resize:h_200|watermark:t_5rC05Y2w5paH5a2X,p_0.5,d_150|format:t_png", "image/png", 320, 200},
	} {
		t.Run(tt.action, func(t *testing.T) {
			r := s.want(message{as: "ALICE", method: "GET", path: "/my-bucket/test.jpg?image&action=" + strings.ReplaceAll(tt.action, "|", "%7C")}, 200, "")
			if kind := r.Header.Get("Content-Type"); kind != tt.kind {
				t.Errorf("Content-Type = %q, want %q", kind, tt.kind)
			}
			if got := r.Header.Get("Content-Length"); got != itoa(len(r.body)) {
				t.Errorf("Content-Length = %s, want %d", got, len(r.body))
			}
			if got := imageSize(t, r); got != image.Pt(tt.w, tt.h) {
				t.Errorf("result has %v pixels, want %dx%d", got, tt.w, tt.h)
			}
		})
	}
	for action, want := range map[string]string{
		"info": `{"width":640,"height":480,"orientation":1,"alpha":false,"type":"jpeg","space":"srgb"}`,
		"crop:w_300|rotate:a_90|resize:h_200|watermark:t_5rC05Y2w5paH5a2X,p_0.5,d_150|format:t_png|info": `{"width":320,"height":200,"orientation":1,"alpha":false,"type":"png","space":"srgb"}`,
	} {
		r := s.want(message{as: "ALICE", method: "GET", path: "/my-bucket/test.jpg?action=" + strings.ReplaceAll(action, "|", "%7C") + "&image"}, 200, "")
		if r.body != want || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s = %s %s, want %s", action, r.Header.Get("Content-Type"), r.body, want)
		}
	}
}

func TestImageConditions(t *testing.T) {
	s := imaging(t)
	get := func(header ...string) message {
		return message{as: "ALICE", method: "GET", path: "/my-bucket/test.jpg?image&action=resize:w_10", header: header}
	}
	first := s.want(get(), 200, "")
	tag, modified := first.Header.Get("Etag"), first.Header.Get("Last-Modified")
	source := s.want(message{as: "ALICE", method: "HEAD", path: "/my-bucket/test.jpg"}, 200, "")
	if modified != source.Header.Get("Last-Modified") || tag == source.Header.Get("Etag") || !strings.HasSuffix(tag, `-image"`) {
		t.Errorf("ETag %s, Last-Modified %s; want one of its own, and that of the picture", tag, modified)
	}
	if again := s.want(get(), 200, ""); again.body != first.body || again.Header.Get("Etag") != tag {
		t.Error("the same action on the same picture gave another result or ETag")
	}
	other := s.want(message{as: "ALICE", method: "GET", path: "/my-bucket/test.jpg?image&action=resize:w_11"}, 200, "")
	if other.Header.Get("Etag") == tag {
		t.Error("another action has the same ETag")
	}
	for _, header := range []string{"If-Modified-Since: " + modified, "If-None-Match: " + tag} {
		r := s.want(get(header), 304, "")
		if r.body != "" || r.Header.Get("Etag") != tag {
			t.Errorf("%s: body of %d bytes, ETag %s; want none, %s", header, len(r.body), r.Header.Get("Etag"), tag)
		}
	}
	s.want(get("If-Modified-Since: "+time.Unix(0, 0).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")), 200, "")
	s.want(get("If-None-Match: "+source.Header.Get("Etag")), 200, "")
	s.want(get("If-Match: "+source.Header.Get("Etag")), 412, "precondition_failed")

	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket/test.jpg", body: photo(t, 64, 48)}, 201, "")
	if r := s.want(get("If-None-Match: "+tag), 200, ""); r.Header.Get("Etag") == tag {
		t.Error("another picture has the same ETag")
	}
}

func TestImageOverrides(t *testing.T) {
	s := imaging(t)
	const path = "/my-bucket/test.jpg?image&action=resize:w_10&response-content-disposition=attachment&response-content-type=image/x-own"
	r := s.want(message{as: "ALICE", method: "GET", path: path}, 200, "")
	if r.Header.Get("Content-Disposition") != "attachment" || r.Header.Get("Content-Type") != "image/x-own" {
		t.Errorf("Content-Disposition %q, Content-Type %q; want what was asked for", r.Header.Get("Content-Disposition"), r.Header.Get("Content-Type"))
	}
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket?acl", body: `{"acl":[{"grantee":{"type":"group","name":"QS_ALL_USERS"},"permission":"READ"}]}`}, 200, "")
	s.want(message{method: "GET", path: "/my-bucket/test.jpg?image&action=resize:w_10"}, 200, "")
	s.want(message{method: "GET", path: path}, 403, "permission_denied")
}

func TestImageRefusals(t *testing.T) {
	s := imaging(t)
	for key, body := range map[string]string{
		"text.jpg": "no picture at all", "empty.png": "", "cut.jpg": photo(t, 640, 480)[:2000], "large.png": strings.Repeat("x", 10<<20+1),
		"bomb.png": pngHead(100_000, 100_000),
	} {
		s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket/" + key, body: body}, 201, "")
	}
	for _, tt := range []struct {
		name, as, path string
		status         int
		code           string
		says           string
	}{
		{"no action", "ALICE", "/my-bucket/test.jpg?image", 400, "invalid_argument", "action"},
		{"an empty action", "ALICE", "/my-bucket/test.jpg?image&action=", 400, "invalid_argument", "action"},
		{"an unknown operation", "ALICE", "/my-bucket/test.jpg?image&action=blur:r_3", 400, "invalid_argument", "blur"},
		{"a bad value", "ALICE", "/my-bucket/test.jpg?image&action=rotate:a_45", 400, "invalid_argument", "parameter a"},
		{"a place outside", "ALICE", "/my-bucket/test.jpg?image&action=crop:l_640", 400, "invalid_argument", "outside"},
		{"no such object", "ALICE", "/my-bucket/none.jpg?image&action=info", 404, "object_not_exists", ""},
		{"no such bucket", "ALICE", "/no-such-bucket/a.jpg?image&action=info", 404, "bucket_not_exists", ""},
		{"another user", "BOB", "/my-bucket/test.jpg?image&action=info", 403, "permission_denied", ""},
		{"nobody", "", "/my-bucket/test.jpg?image&action=info", 403, "permission_denied", ""},
		{"no picture", "ALICE", "/my-bucket/text.jpg?image&action=info", 400, "invalid_request", "no jpeg, png"},
		{"nothing", "ALICE", "/my-bucket/empty.png?image&action=info", 400, "invalid_request", "no jpeg, png"},
		{"a cut picture", "ALICE", "/my-bucket/cut.jpg?image&action=resize:w_10", 400, "invalid_request", "broken"},
		{"a large file", "ALICE", "/my-bucket/large.png?image&action=info", 400, "entity_too_large", "10485760 bytes"},
		{"very many pixels", "ALICE", "/my-bucket/bomb.png?image&action=resize:w_10", 400, "entity_too_large", "100000 x 100000"},
		{"a large result", "ALICE", "/my-bucket/test.jpg?image&action=resize:w_60000,h_60000", 400, "entity_too_large", "60000 x 60000"},
		{"nothing at the address of a watermark", "ALICE", "/my-bucket/test.jpg?image&action=watermark_image:u_" + b64("http://cistern.local/my-bucket/none.png"), 400, "invalid_argument", "nothing at the address"},
		{"a watermark that is no picture", "ALICE", "/my-bucket/test.jpg?image&action=watermark_image:u_" + b64("http://cistern.local/my-bucket/text.jpg"), 400, "invalid_request", "watermark_image"},
		{"a watermark within the network", "ALICE", "/my-bucket/test.jpg?image&action=watermark_image:u_" + b64("http://10.0.0.1/logo.png"), 400, "invalid_argument", "parameter u"},
		{"a watermark of a metadata service", "OPERATOR", "/my-bucket/test.jpg?image&action=watermark_image:u_" + b64("http://169.254.169.254/latest/"), 400, "invalid_argument", "parameter u"},
		{"a character without a font", "ALICE", "/my-bucket/test.jpg?image&action=watermark:t_" + b64("a\U0001F600"), 400, "invalid_argument", "U+1F600"},
		{"another parameter", "ALICE", "/my-bucket/test.jpg?image&action=info&uploads", 400, "invalid_argument", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := s.want(message{as: tt.as, method: "GET", path: tt.path}, tt.status, tt.code)
			if !strings.Contains(r.body, tt.says) {
				t.Errorf("the message is %s, want it to say %q", r.body, tt.says)
			}
		})
	}
}

// kept reads an object back.
func (s *site) kept(path string) reply {
	s.t.Helper()
	return s.want(message{as: "OPERATOR", method: "GET", path: path}, 200, "")
}

func TestImageSave(t *testing.T) {
	s := imaging(t)
	s.want(message{as: "BOB", method: "PUT", path: "/bobs-bucket"}, 201, "")
	save := func(as, action string) message {
		return message{as: as, method: "GET", path: "/my-bucket/test.jpg?image&action=" + action}
	}
	r := s.want(save("ALICE", "resize:w_10%7Csave:b_my-bucket,k_dir/a_1.jpg"), 200, "")
	if got := s.kept("/my-bucket/dir/a_1.jpg"); got.body != r.body || got.Header.Get("Content-Type") != "image/jpeg" {
		t.Errorf("kept %d bytes of %s, want the %d of the answer, image/jpeg", len(got.body), got.Header.Get("Content-Type"), len(r.body))
	}
	r = s.want(save("ALICE", "save:b_my-bucket,k_before%7Cformat:t_png%7Csave:b_my-bucket,k_after%7Cinfo"), 200, "")
	if !strings.Contains(r.body, `"type":"png"`) {
		t.Errorf("info behind a save = %s, want that of the png", r.body)
	}
	if got := s.kept("/my-bucket/before"); got.body != s.kept("/my-bucket/test.jpg").body {
		t.Error("what was kept before anything was done is not the picture as it is")
	}
	if got := s.kept("/my-bucket/after").Header.Get("Content-Type"); got != "image/png" {
		t.Errorf("kept as %q, want image/png", got)
	}

	s.want(save("ALICE", "resize:w_10%7Csave:b_bobs-bucket,k_a"), 403, "permission_denied")
	s.want(save("ALICE", "save:b_no-such-bucket,k_a"), 404, "bucket_not_exists")
	// Whoever may read and may not write, saves nothing, and neither does an action of which a later step fails before it.
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket?acl", body: `{"acl":[{"grantee":{"type":"group","name":"QS_ALL_USERS"},"permission":"READ"}]}`}, 200, "")
	s.want(save("", "save:b_my-bucket,k_anonymous"), 403, "permission_denied")
	s.want(save("ALICE", "crop:l_9999%7Csave:b_my-bucket,k_late"), 400, "invalid_argument")
	for _, key := range []string{"anonymous", "late"} {
		s.want(message{as: "ALICE", method: "GET", path: "/my-bucket/" + key}, 404, "object_not_exists")
	}
	// With something to save, the caller's having the result is no reason to do nothing.
	first := s.want(save("ALICE", "resize:w_9%7Csave:b_my-bucket,k_nine"), 200, "")
	s.want(message{as: "ALICE", method: "DELETE", path: "/my-bucket/nine"}, 204, "")
	m := save("ALICE", "resize:w_9%7Csave:b_my-bucket,k_nine")
	m.header = []string{"If-None-Match: " + first.Header.Get("Etag")}
	s.want(m, 200, "")
	s.kept("/my-bucket/nine")
}

// A signed link does not cover its action, so whoever was given one may put another action in. It must lead to nothing but the picture.
func TestImageLink(t *testing.T) {
	s := imaging(t)
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket/secret.png", body: dot(t, 5, 5, color.White)}, 201, "")
	query := sign.Query(sign.Request{Method: "GET", Path: "/my-bucket/test.jpg", Query: "image", Header: http.Header{}}, "ALICE", "secret-alice", now.Unix()+60)
	link := func(action string) message {
		return message{method: "GET", path: "/my-bucket/test.jpg?action=" + action + "&" + query}
	}
	s.want(link("resize:w_10"), 200, "")
	s.want(link("resize:w_20"), 200, "")
	s.want(link("save:b_my-bucket,k_index.html"), 403, "permission_denied")
	s.want(link("watermark_image:u_"+b64("http://cistern.local/my-bucket/secret.png")), 403, "permission_denied")
	s.want(message{as: "ALICE", method: "GET", path: "/my-bucket/test.jpg?image&action=watermark_image:u_" + b64("http://cistern.local/my-bucket/secret.png")}, 200, "")
	s.want(message{as: "BOB", method: "GET", path: "/my-bucket/index.html"}, 403, "permission_denied")
}

func TestImageWatermarkFromElsewhere(t *testing.T) {
	s := imaging(t)
	modified := "Sun, 22 Nov 2099 06:00:00 GMT"
	asked := 0
	marks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		switch r.URL.Path {
		case "/logo.png":
			if r.URL.RawQuery != "v=1&x=%20" || r.Header.Get("Authorization") != "" {
				t.Errorf("the watermark's server saw the query %q and Authorization %q", r.URL.RawQuery, r.Header.Get("Authorization"))
			}
			w.Header().Set("Last-Modified", modified)
			io.WriteString(w, dot(t, 64, 64, color.RGBA{255, 0, 0, 255}))
		case "/large.png":
			w.Write(make([]byte, 10<<20+1))
		case "/bomb.png":
			io.WriteString(w, pngHead(100_000, 100_000))
		case "/error.png":
			w.WriteHeader(500)
		default:
			w.WriteHeader(404)
		}
	}))
	defer marks.Close()
	get := func(as, path string) message {
		return message{as: as, method: "GET", path: "/my-bucket/test.jpg?image&action=format:t_png%7Cwatermark_image:u_" + b64(marks.URL+path) + ",l_100,t_50,p_1"}
	}
	r := s.want(get("OPERATOR", "/logo.png?v=1&x=%20"), 200, "")
	img, err := png.Decode(strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []struct {
		x, y int
		red  bool
	}{{99, 60, false}, {100, 50, true}, {163, 113, true}, {164, 113, false}, {120, 49, false}} {
		if c := color.RGBAModel.Convert(img.At(p.x, p.y)).(color.RGBA); (c == color.RGBA{255, 0, 0, 255}) != p.red {
			t.Errorf("pixel %d,%d = %v; is it of the watermark? want %v", p.x, p.y, c, p.red)
		}
	}
	if got := r.Header.Get("Last-Modified"); got != modified {
		t.Errorf("Last-Modified = %s, want that of the watermark, which is later", got)
	}
	m := get("OPERATOR", "/logo.png?v=1&x=%20")
	m.header = []string{"If-None-Match: " + r.Header.Get("Etag")}
	s.want(m, 304, "")

	s.want(get("OPERATOR", "/none.png"), 400, "invalid_argument")
	s.want(get("OPERATOR", "/error.png"), 503, "upstream_failed")
	s.want(get("OPERATOR", "/large.png"), 400, "entity_too_large")
	s.want(get("OPERATOR", "/bomb.png"), 400, "entity_too_large")
	asked = 0
	s.want(get("ALICE", "/logo.png?v=1&x=%20"), 400, "invalid_argument") // a literal private address
	query := sign.Query(sign.Request{Method: "GET", Path: "/my-bucket/test.jpg", Query: "image", Header: http.Header{}}, "OPERATOR", "secret-operator", now.Unix()+60)
	m = get("", "/logo.png?v=1&x=%20")
	m.path = strings.Replace(m.path, "image&", "", 1) + "&" + query
	if r := s.want(m, 400, "invalid_argument"); !strings.Contains(r.body, "parameter u") { // the operator's link is in anybody's hands
		t.Errorf("the message is %s, want it to refuse the address", r.body)
	}
	if asked != 0 {
		t.Errorf("a private server was asked %d times for callers who may not reach it", asked)
	}
}

// A picture that is not there yet is filled from the source, and stays.
func TestImageOnAMiss(t *testing.T) {
	s := start(t, nil)
	pic := photo(t, 64, 48)
	asked := 0
	source := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		switch r.URL.Path {
		case "/chunked.jpg", "/plain.jpg":
			if r.URL.Path == "/chunked.jpg" {
				w.(http.Flusher).Flush()
			}
			io.WriteString(w, pic)
		case "/large.jpg":
			w.(http.Flusher).Flush()
			w.Write(make([]byte, 10<<20+1))
		default:
			w.WriteHeader(404)
		}
	}))
	defer source.Close()
	s.want(message{as: "OPERATOR", method: "PUT", path: "/my-bucket"}, 201, "")
	s.want(message{as: "OPERATOR", method: "PUT", path: "/my-bucket?mirror", body: `{"source_site":"` + source.URL + `/"}`}, 200, "")
	for _, key := range []string{"plain.jpg", "chunked.jpg"} {
		asked = 0
		path := "/my-bucket/" + key + "?image&action=resize:w_16"
		first := s.want(message{as: "OPERATOR", method: "GET", path: path}, 200, "")
		if got := first.Header.Get("Cache-Status"); !strings.Contains(got, "fwd=uri-miss") {
			t.Errorf("Cache-Status = %q, want a miss", got)
		}
		again := s.want(message{as: "OPERATOR", method: "GET", path: path}, 200, "")
		if again.body != first.body || again.Header.Get("Etag") != first.Header.Get("Etag") || asked != 1 {
			t.Errorf("%s: ETag %s then %s, the source was asked %d times; want the same result, once", key, first.Header.Get("Etag"), again.Header.Get("Etag"), asked)
		}
		if got := s.kept("/my-bucket/" + key); got.body != pic {
			t.Errorf("%s: the bucket keeps %d bytes, want the picture as the source has it", key, len(got.body))
		}
	}
	s.want(message{as: "OPERATOR", method: "GET", path: "/my-bucket/none.jpg?image&action=info"}, 404, "object_not_exists")
	s.want(message{as: "OPERATOR", method: "GET", path: "/my-bucket/large.jpg?image&action=info"}, 400, "entity_too_large")
}

func TestImageOfAnEncryptedObject(t *testing.T) {
	s := imaging(t)
	key := bytes.Repeat([]byte("k"), 32)
	sum := md5.Sum(key)
	header := []string{
		"X-QS-Encryption-Customer-Algorithm: AES256", "X-QS-Encryption-Customer-Key: " + base64.StdEncoding.EncodeToString(key),
		"X-QS-Encryption-Customer-Key-MD5: " + base64.StdEncoding.EncodeToString(sum[:]),
	}
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket/sealed.jpg", header: header, body: photo(t, 8, 8)}, 201, "")
	for _, header := range [][]string{nil, header} {
		r := s.want(message{as: "ALICE", method: "GET", path: "/my-bucket/sealed.jpg?image&action=info", header: header}, 400, "invalid_request")
		if !strings.Contains(r.body, "cannot be processed") {
			t.Errorf("the message is %s, want it to say that encrypted pictures cannot be processed", r.body)
		}
	}
}
