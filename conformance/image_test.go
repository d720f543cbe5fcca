package conformance

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"strings"
	"testing"

	sdkimage "github.com/yunify/qingstor-sdk-go/v3/client/image"
	qserrors "github.com/yunify/qingstor-sdk-go/v3/request/errors"
	"github.com/yunify/qingstor-sdk-go/v3/service"
)

// picture is an image whose corners differ, so that what was turned or cut shows.
func picture(width, height int) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			m.SetRGBA(x, y, color.RGBA{R: uint8(x * 255 / width), G: uint8(y * 255 / height), B: 128, A: 255})
		}
	}
	return m
}

func encoded(t *testing.T, encode func(io.Writer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// word is an argument of an operation that is not a number: Base64 without its padding.
func word(s string) string { return base64.RawStdEncoding.EncodeToString([]byte(s)) }

func TestScenarioImage(t *testing.T) {
	mark := encoded(t, func(w io.Writer) error { return png.Encode(w, picture(40, 30)) })
	o := newOrigin(t, map[string]string{"/mark.png": mark})
	s := start(t)
	b := s.bucket(t, "images")
	put(t, b, "test.jpg", encoded(t, func(w io.Writer) error { return jpeg.Encode(w, picture(1000, 608), nil) }))

	tests := []struct {
		action        string
		width, height int
		format        string
	}{
		{"crop:w_300", 300, 608, "jpeg"},
		{"crop:w_300,h_400", 300, 400, "jpeg"},
		{"crop:w_300,h_400,g_0", 300, 400, "jpeg"},
		{"crop:w_300,h_400,g_1", 300, 400, "jpeg"},
		{"crop:w_300,h_400,g_2", 300, 400, "jpeg"},
		{"rotate:a_90", 608, 1000, "jpeg"},
		{"rotate:a_180", 1000, 608, "jpeg"},
		{"rotate:a_270", 608, 1000, "jpeg"},
		{"resize:w_500,h_500", 500, 500, "jpeg"},
		{"resize:w_500,h_500,m_1", 500, 500, "jpeg"},
		{"resize:w_500,h_500,m_2", 500, 304, "jpeg"},
		{"watermark:t_5rC05Y2w5paH5a2X,p_0.5", 1000, 608, "jpeg"},
		{"watermark:t_5rC05Y2w5paH5a2X,p_0.5,d_150", 1000, 608, "jpeg"},
		// The scenario asks for an opacity of 2, and the address of a picture on the internet.
		{"watermark_image:u_" + word(o.url+"/mark.png") + ",l_10,t_10,p_2", 1000, 608, "jpeg"},
		{"format:t_jpeg", 1000, 608, "jpeg"},
		{"format:t_png", 1000, 608, "png"},
		// Not ones that this test can read.
		{"format:t_webp", 0, 0, "webp"},
		{"format:t_tiff", 0, 0, "tiff"},
		{"crop:w_300|rotate:a_90|resize:h_200|watermark:t_5rC05Y2w5paH5a2X,p_0.5,d_150|format:t_png", 405, 200, "png"},
	}
	for _, tt := range tests {
		t.Run(tt.action, func(t *testing.T) {
			out, err := b.ImageProcess("test.jpg", &service.ImageProcessInput{Action: &tt.action})
			if err != nil {
				t.Fatalf("image process: %v", err)
			}
			wantStatus(t, "image process", out.StatusCode, 200)
			body := readAll(t, out.Body)
			if value(out.ContentLength) != int64(len(body)) {
				t.Errorf("Content-Length = %d, the body has %d bytes", value(out.ContentLength), len(body))
			}
			if begin, ok := map[string]string{"tiff": "II*\x00", "webp": "RIFF"}[tt.format]; ok {
				if !strings.HasPrefix(body, begin) {
					t.Errorf("the answer begins with %q, want a %s", body[:min(len(body), 12)], tt.format)
				}
				return
			}
			m, format, err := image.DecodeConfig(strings.NewReader(body))
			if err != nil {
				t.Fatalf("the answer is no image: %v", err)
			}
			if m.Width != tt.width || m.Height != tt.height || format != tt.format {
				t.Errorf("image process = %d x %d %s, want %d x %d %s", m.Width, m.Height, format, tt.width, tt.height, tt.format)
			}
		})
	}

	for action, want := range map[string][3]any{
		"info": {1000.0, 608.0, "jpeg"},
		"crop:w_300|rotate:a_90|resize:h_200|watermark:t_5rC05Y2w5paH5a2X,p_0.5,d_150|format:t_png|info": {405.0, 200.0, "png"},
	} {
		out, err := b.ImageProcess("test.jpg", &service.ImageProcessInput{Action: &action})
		if err != nil {
			t.Fatalf("%s: %v", action, err)
		}
		var info map[string]any
		if err := json.Unmarshal([]byte(readAll(t, out.Body)), &info); err != nil {
			t.Fatalf("%s: %v", action, err)
		}
		if got := [3]any{info["width"], info["height"], info["type"]}; got != want {
			t.Errorf("%s = %v, want %v", action, info, want)
		}
	}

	// Two operations and a saved result, through the SDK's own chain.
	chain, err := sdkimage.Init(b, "test.jpg").
		Resize(&sdkimage.ResizeParam{Width: 100, Height: 50, Mode: sdkimage.ResizeForce}).
		Rotate(&sdkimage.RotateParam{Angle: 90}).
		WaterMark(&sdkimage.WaterMarkParam{Text: word("mark"), Color: word("#ff0000")}).
		Format(&sdkimage.FormatParam{Type: "png"}).
		Process()
	if err != nil {
		t.Fatalf("the SDK's chain: %v", err)
	}
	if m, format, err := image.DecodeConfig(chain.Body); err != nil || m.Width != 50 || m.Height != 100 || format != "png" {
		t.Errorf("the SDK's chain = %d x %d %s, %v; want 50 x 100 png", m.Width, m.Height, format, err)
	}
	saved, err := b.ImageProcess("test.jpg", &service.ImageProcessInput{Action: ptr("resize:w_10,h_20,m_1|save:b_images,k_out/小.jpg")})
	if err != nil {
		t.Fatalf("save: %v", err)
	}
	readAll(t, saved.Body)
	small, err := b.GetObject("out/小.jpg", nil)
	if err != nil {
		t.Fatalf("GET of what was saved: %v", err)
	}
	if m, _, err := image.DecodeConfig(small.Body); err != nil || m.Width != 10 || m.Height != 20 {
		t.Errorf("what was saved = %d x %d, %v; want 10 x 20", m.Width, m.Height, err)
	}

	_, err = b.ImageProcess("absent", &service.ImageProcessInput{Action: ptr("info")})
	wantError(t, "image process of nothing", err, 404, "object_not_exists")
	put(t, b, "text", "no picture")
	_, err = b.ImageProcess("text", &service.ImageProcessInput{Action: ptr("info")})
	var refused *qserrors.QingStorError
	if !errors.As(err, &refused) || refused.StatusCode != 400 {
		t.Errorf("image process of a text: %v, want 400", err)
	}
}
