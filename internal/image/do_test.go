package image

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"image/png"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/image/tiff"
	"golang.org/x/image/webp"

	"github.com/cisternhq/cistern/internal/object"
)

var (
	red    = color.NRGBA{255, 0, 0, 255}
	green  = color.NRGBA{0, 255, 0, 255}
	blue   = color.NRGBA{0, 0, 255, 255}
	yellow = color.NRGBA{255, 255, 0, 255}
	whiteC = color.NRGBA{255, 255, 255, 255}
	none   = color.NRGBA{}
)

// quarters is a picture of red, green, blue and yellow: top left, top right, bottom left, bottom right.
func quarters(w, h int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := [2][2]color.NRGBA{{red, green}, {blue, yellow}}[2*y/h][2*x/w]
			img.SetNRGBA(x, y, c)
		}
	}
	return img
}

// fileOf writes img as f.
func fileOf(t testing.TB, f Format, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	var err error
	switch f {
	case PNG:
		err = png.Encode(&b, img)
	case JPEG:
		err = jpeg.Encode(&b, img, &jpeg.Options{Quality: 100})
	case TIFF:
		err = tiff.Encode(&b, img, nil)
	case WebP:
		err = encodeWebP(&b, img)
	case GIF:
		err = gif.Encode(&b, img, nil)
	default:
		t.Fatalf("no encoder for %s", f)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// job is a Job of an action that must be a valid one.
func job(t testing.TB, action string, src []byte, marks ...[]byte) Job {
	t.Helper()
	a, err := Parse(action)
	if err != nil {
		t.Fatal(err)
	}
	return Job{Action: a, Source: src, Marks: marks, Save: func(context.Context, Save, Picture) error { return nil }}
}

func do(p *Processor, j Job) (Picture, error) {
	w, err := p.Begin(context.Background())
	if err != nil {
		return Picture{}, err
	}
	defer w.End()
	return w.Do(context.Background(), j)
}

// must does the action and returns the result.
func must(t testing.TB, action string, src []byte, marks ...[]byte) Picture {
	t.Helper()
	got, err := do(New(Options{}), job(t, action, src, marks...))
	if err != nil {
		t.Fatalf("%s: %v", action, err)
	}
	return got
}

// shown decodes a result.
func shown(t testing.TB, p Picture) image.Image {
	t.Helper()
	r := bytes.NewReader(p.Body)
	var img image.Image
	var err error
	switch p.Type {
	case "image/png":
		img, err = png.Decode(r)
	case "image/jpeg":
		img, err = jpeg.Decode(r)
	case "image/tiff":
		img, err = tiff.Decode(r)
	case "image/webp":
		img, err = webp.Decode(r)
	case "image/gif":
		img, err = gif.Decode(r)
	default:
		t.Fatalf("result of type %q", p.Type)
	}
	if err != nil {
		t.Fatalf("result: %v", err)
	}
	return img
}

// spot is a colour at a place.
type spot struct {
	x, y int
	want color.NRGBA
}

// wantSpots checks colours, each within near.
func wantSpots(t testing.TB, img image.Image, near int, spots ...spot) {
	t.Helper()
	for _, s := range spots {
		got := color.NRGBAModel.Convert(img.At(img.Bounds().Min.X+s.x, img.Bounds().Min.Y+s.y)).(color.NRGBA)
		if s.want == none && got.A == 0 {
			continue
		}
		for _, d := range []int{int(got.R) - int(s.want.R), int(got.G) - int(s.want.G), int(got.B) - int(s.want.B), int(got.A) - int(s.want.A)} {
			if d > near || d < -near {
				t.Errorf("pixel %d,%d = %v, want %v", s.x, s.y, got, s.want)
				break
			}
		}
	}
}

func wantSize(t testing.TB, img image.Image, w, h int) {
	t.Helper()
	if got := img.Bounds().Size(); got != image.Pt(w, h) {
		t.Fatalf("result has %v pixels, want %dx%d", got, w, h)
	}
}

func TestOperations(t *testing.T) {
	square := fileOf(t, PNG, quarters(40, 20))
	tests := []struct {
		name   string
		action string
		w, h   int
		spots  []spot
	}{
		{"crop in the middle", "crop:w_20,h_10", 20, 10, []spot{{0, 0, red}, {19, 0, green}, {0, 9, blue}, {19, 9, yellow}, {9, 4, red}, {10, 5, yellow}}},
		{"crop north", "crop:w_20,h_10,g_1", 20, 10, []spot{{0, 9, red}, {19, 9, green}}},
		{"crop east", "crop:w_20,h_10,g_2", 20, 10, []spot{{0, 0, green}, {0, 9, yellow}}},
		{"crop south", "crop:w_20,h_10,g_3", 20, 10, []spot{{0, 0, blue}, {19, 0, yellow}}},
		{"crop west", "crop:w_20,h_10,g_4", 20, 10, []spot{{19, 0, red}, {19, 9, blue}}},
		{"crop north west", "crop:w_20,h_10,g_5", 20, 10, []spot{{0, 0, red}, {19, 9, red}}},
		{"crop north east", "crop:w_20,h_10,g_6", 20, 10, []spot{{0, 0, green}, {19, 9, green}}},
		{"crop south west", "crop:w_20,h_10,g_7", 20, 10, []spot{{0, 0, blue}, {19, 9, blue}}},
		{"crop south east", "crop:w_20,h_10,g_8", 20, 10, []spot{{0, 0, yellow}, {19, 9, yellow}}},
		{"crop takes the whole height where none is said", "crop:w_20", 20, 20, []spot{{0, 0, red}, {19, 19, yellow}}},
		{"crop takes no more than there is", "crop:w_400,h_10,g_1", 40, 10, []spot{{0, 0, red}, {39, 9, green}}},
		{"crop from a place", "crop:l_10,t_5,w_20,h_10", 20, 10, []spot{{0, 0, red}, {19, 9, yellow}}},
		{"crop from a place to the end", "crop:l_30,t_15", 10, 5, []spot{{0, 0, yellow}, {9, 4, yellow}}},
		{"crop from a place beyond the end", "crop:l_30,w_100,h_3", 10, 3, []spot{{0, 0, green}}},
		{"crop of nothing", "crop:g_0", 40, 20, []spot{{0, 0, red}, {39, 19, yellow}}},
		{"rotate by 0", "rotate:a_0", 40, 20, []spot{{0, 0, red}, {39, 0, green}}},
		{"rotate clockwise", "rotate:a_90", 20, 40, []spot{{0, 0, blue}, {19, 0, red}, {0, 39, yellow}, {19, 39, green}}},
		{"rotate by half", "rotate:a_180", 40, 20, []spot{{0, 0, yellow}, {39, 0, blue}, {0, 19, green}, {39, 19, red}}},
		{"rotate counterclockwise", "rotate:a_270", 20, 40, []spot{{0, 0, green}, {19, 0, yellow}, {0, 39, red}, {19, 39, blue}}},
		{"resize by width", "resize:w_20", 20, 10, []spot{{0, 0, red}, {19, 9, yellow}}},
		{"resize by height", "resize:h_40", 80, 40, []spot{{0, 0, red}, {79, 39, yellow}}},
		{"resize pads", "resize:w_40,h_40", 40, 40, []spot{{0, 0, whiteC}, {20, 9, whiteC}, {5, 12, red}, {35, 27, yellow}, {20, 30, whiteC}}},
		{"resize pads at the sides", "resize:w_60,h_10,m_0", 60, 10, []spot{{0, 0, whiteC}, {19, 5, whiteC}, {22, 1, red}, {37, 8, yellow}, {40, 5, whiteC}}},
		{"resize stretches", "resize:w_20,h_40,m_1", 20, 40, []spot{{0, 0, red}, {19, 0, green}, {0, 39, blue}, {19, 39, yellow}}},
		{"resize fits a thumbnail in", "resize:w_20,h_20,m_2", 20, 10, []spot{{0, 0, red}, {19, 9, yellow}}},
		{"resize to nothing said", "resize:m_1", 40, 20, []spot{{0, 0, red}}},
		{"resize to one pixel", "resize:w_1,h_1,m_1", 1, 1, nil},
		{"a pipe", "crop:w_20,h_10,g_5|rotate:a_90|resize:w_5", 5, 10, []spot{{0, 0, red}, {4, 9, red}}},
		{"the order counts", "rotate:a_90|crop:w_10,h_20,g_5", 10, 20, []spot{{0, 0, blue}, {9, 19, blue}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := must(t, tt.action, square)
			if got.Type != "image/png" {
				t.Errorf("type = %q, want image/png", got.Type)
			}
			img := shown(t, got)
			wantSize(t, img, tt.w, tt.h)
			wantSpots(t, img, 1, tt.spots...)
		})
	}
}

// A pipe must do the same with every format that it can come in, within what the format loses.
func TestOperationsOnEveryFormat(t *testing.T) {
	for _, f := range []Format{JPEG, PNG, WebP, TIFF} {
		t.Run(string(f), func(t *testing.T) {
			got := must(t, "rotate:a_90|resize:w_32|crop:w_32,h_32,g_5", fileOf(t, f, quarters(128, 64)))
			if want := "image/" + string(f); got.Type != want {
				t.Errorf("type = %q, want %q", got.Type, want)
			}
			img := shown(t, got)
			wantSize(t, img, 32, 32)
			wantSpots(t, img, 6, spot{4, 4, blue}, spot{27, 4, red}, spot{4, 25, blue}, spot{27, 25, red})
		})
	}
}

func TestFormat(t *testing.T) {
	for _, from := range []Format{JPEG, PNG, WebP, TIFF} {
		src := fileOf(t, from, quarters(64, 32))
		for _, to := range []Format{JPEG, PNG, WebP, TIFF} {
			t.Run(string(from)+" to "+string(to), func(t *testing.T) {
				got := must(t, "format:t_"+string(to), src)
				if want := "image/" + string(to); got.Type != want {
					t.Errorf("type = %q, want %q", got.Type, want)
				}
				if to == from && !bytes.Equal(got.Body, src) {
					t.Error("a picture that is of the format already was written anew")
				}
				img := shown(t, got)
				wantSize(t, img, 64, 32)
				wantSpots(t, img, 6, spot{8, 8, red}, spot{56, 8, green}, spot{8, 24, blue}, spot{56, 24, yellow})
			})
		}
	}
}

func TestTransparency(t *testing.T) {
	img := image.NewNRGBA(image.Rect(0, 0, 20, 20))
	for y := range 20 {
		for x := range 10 {
			img.SetNRGBA(x, y, color.NRGBA{255, 0, 0, 128})
		}
	}
	src := fileOf(t, PNG, img)
	half := color.NRGBA{255, 0, 0, 128}
	t.Run("stays", func(t *testing.T) {
		wantSpots(t, shown(t, must(t, "resize:w_10", src)), 1, spot{1, 5, half}, spot{8, 5, none})
	})
	t.Run("stays in a webp", func(t *testing.T) {
		wantSpots(t, shown(t, must(t, "format:t_webp", src)), 0, spot{1, 5, half}, spot{15, 5, none})
	})
	t.Run("is what pads", func(t *testing.T) {
		wantSpots(t, shown(t, must(t, "resize:w_20,h_40", src)), 1, spot{1, 1, none}, spot{1, 20, half})
	})
	t.Run("becomes white in a jpeg", func(t *testing.T) {
		wantSpots(t, shown(t, must(t, "format:t_jpeg", src)), 6, spot{3, 5, color.NRGBA{255, 127, 127, 255}}, spot{17, 5, whiteC})
	})
}

func TestCropAutoFindsWhatIsToBeSeen(t *testing.T) {
	img := image.NewNRGBA(image.Rect(0, 0, 600, 200))
	for y := range 200 {
		for x := range 600 {
			c := whiteC
			if x >= 420 && x < 520 && (x/10+y/10)%2 == 0 {
				c = blue
			}
			img.SetNRGBA(x, y, c)
		}
	}
	got := shown(t, must(t, "crop:w_120,h_200,g_9", fileOf(t, PNG, img)))
	wantSize(t, got, 120, 200)
	blues := 0
	for y := range 200 {
		for x := range 120 {
			if r, _, _, _ := got.At(x, y).RGBA(); r == 0 {
				blues++
			}
		}
	}
	if blues < 9000 { // of 10,000
		t.Errorf("the crop shows %d of 10000 blue pixels, want nearly all", blues)
	}
}

func TestCropAutoOfAnEvenPicture(t *testing.T) {
	img := image.NewNRGBA(image.Rect(0, 0, 60, 60))
	draw.Draw(img, img.Rect, image.NewUniform(red), image.Point{}, draw.Src)
	img.SetNRGBA(30, 30, blue) // the only thing to be seen, too small for one place to be better than another around it
	wantSpots(t, shown(t, must(t, "crop:w_20,h_20,g_9", fileOf(t, PNG, img))), 1, spot{10, 10, blue})
}

func TestSave(t *testing.T) {
	src := fileOf(t, PNG, quarters(40, 20))
	j := job(t, "save:b_bucket,k_a|resize:w_20|save:b_bucket,k_b|format:t_jpeg|save:b_other-bucket,k_c|rotate:a_90", src)
	type kept struct {
		to   Save
		kind string
		size image.Point
	}
	var got []kept
	j.Save = func(_ context.Context, to Save, p Picture) error {
		got = append(got, kept{to, p.Type, shown(t, p).Bounds().Size()})
		if to.Key == "a" && !bytes.Equal(p.Body, src) {
			t.Error("the file that nothing was done to was written anew")
		}
		return nil
	}
	last, err := do(New(Options{}), j)
	if err != nil {
		t.Fatal(err)
	}
	want := []kept{
		{Save{"bucket", "a"}, "image/png", image.Pt(40, 20)},
		{Save{"bucket", "b"}, "image/png", image.Pt(20, 10)},
		{Save{"other-bucket", "c"}, "image/jpeg", image.Pt(20, 10)},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(kept{})); diff != "" {
		t.Errorf("saved (-want +got):\n%s", diff)
	}
	wantSize(t, shown(t, last), 10, 20)

	j.Save = func(context.Context, Save, Picture) error { return object.ErrDenied }
	if _, err := do(New(Options{}), j); err != object.ErrDenied {
		t.Errorf("Do with a save that fails = %v, want its error", err)
	}
}
