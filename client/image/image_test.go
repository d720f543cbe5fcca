package image_test

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/cisternhq/cistern/client/image"
	"github.com/cisternhq/cistern/config"
	"github.com/cisternhq/cistern/service"
)

// What the operations are on the wire, as the official scenarios have them.
func TestActions(t *testing.T) {
	seen := ""
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !r.URL.Query().Has("image") {
			t.Errorf("query = %s, want the sub-resource image", r.URL.RawQuery)
		}
		seen = r.URL.Query().Get("action")
		_, _ = io.WriteString(w, "pixels")
	}))
	t.Cleanup(srv.Close)
	t.Setenv(config.EnvEndpoint, srv.URL)
	c, err := config.New("id", "secret")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Connection.CloseIdleConnections)
	s, _ := service.Init(c)
	b, _ := s.Bucket("mybucket", "pek3a")
	plain := base64.RawStdEncoding.EncodeToString
	tests := []struct {
		name string
		add  func(*image.Image) *image.Image
		want string
	}{
		{"info", func(i *image.Image) *image.Image { return i.Info() }, "info"},
		{"crop", func(i *image.Image) *image.Image { return i.Crop(&image.CropParam{Width: 300, Height: 400}) }, "crop:w_300,h_400,g_0"},
		{"crop, one side", func(i *image.Image) *image.Image {
			return i.Crop(&image.CropParam{Width: 300, Gravity: image.CropAuto})
		}, "crop:w_300,g_9"},
		{"rotate", func(i *image.Image) *image.Image { return i.Rotate(&image.RotateParam{Angle: 90}) }, "rotate:a_90"},
		{"rotate by nothing", func(i *image.Image) *image.Image { return i.Rotate(&image.RotateParam{}) }, "rotate:a_0"},
		{"resize", func(i *image.Image) *image.Image {
			return i.Resize(&image.ResizeParam{Width: 300, Height: 400, Mode: image.ResizeThumbnail})
		}, "resize:w_300,h_400,m_2"},
		{"watermark", func(i *image.Image) *image.Image {
			return i.WaterMark(&image.WaterMarkParam{Text: plain([]byte("中文")), Color: plain([]byte("#ff0000")), Opacity: 0.5})
		}, "watermark:p_0.5,t_5Lit5paH,c_I2ZmMDAwMA"},
		{"watermark_image", func(i *image.Image) *image.Image {
			return i.WaterMarkImage(&image.WaterMarkImageParam{Left: 10, URL: plain([]byte("http://example.com/a.png"))})
		}, "watermark_image:l_10,t_0,u_aHR0cDovL2V4YW1wbGUuY29tL2EucG5n"},
		{"format", func(i *image.Image) *image.Image { return i.Format(&image.FormatParam{Type: "png"}) }, "format:t_png"},
		{"a pipe", func(i *image.Image) *image.Image {
			return i.Resize(&image.ResizeParam{Width: 300}).Rotate(&image.RotateParam{Angle: 90}).Info()
		}, "resize:w_300,m_0|rotate:a_90|info"},
		{"no parameters", func(i *image.Image) *image.Image { return i.Crop(nil) }, "crop"},
	}
	img := image.Init(b, "a.jpg")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := tt.add(img).Process()
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(out.Body)
			if err := errors.Join(err, out.Close()); err != nil || string(body) != "pixels" {
				t.Errorf("result = %q, %v", body, err)
			}
			if seen != tt.want {
				t.Errorf("action = %s, want %s", seen, tt.want)
			}
		})
	}
	if _, err := img.Process(); err == nil {
		t.Error("Process of no operation = nil, want an error")
	}
}
