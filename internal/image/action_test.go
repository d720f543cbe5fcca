package image

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cisternhq/cistern/internal/object"
)

func TestParse(t *testing.T) {
	const text = "5rC05Y2w5paH5a2X" // 水印文字
	const url = "aHR0cHM6Ly9wZWszYS5xaW5nc3Rvci5jb20vaW1nLWRvYy1lZy9xaW5jbG91ZC5wbmc"
	mark := markImage{url: "https://pek3a.qingstor.com/img-doc-eg/qincloud.png", opacity: 0.25}
	at := mark
	at.left, at.top, at.opacity = 10, 20, 1
	tests := []struct {
		name   string
		action string
		want   []operation
	}{
		{"info", "info", []operation{info{}}},
		{"crop", "crop:w_300,h_400,g_9", []operation{crop{width: 300, height: 400, gravity: auto}}},
		{"crop by its place", "crop:w_300,l_5,t_0", []operation{crop{width: 300, at: true, left: 5}}},
		{"crop without anything, as the SDK sends it for zeros", "crop:g_0", []operation{crop{}}},
		{"rotate", "rotate:a_270", []operation{rotate{3}}},
		{"resize", "resize:w_300,h_400,m_2", []operation{resize{300, 400, thumbnail}}},
		{"resize in any order", "resize:m_1,h_400", []operation{resize{0, 400, force}}},
		{"watermark", "watermark:t_" + text, []operation{markText{"水印文字", 150, 0.25, [3]uint8{}}}},
		{"watermark with all", "watermark:d_200,p_0.5,t_" + text + ",c_I2ZmMDBmRg", []operation{markText{"水印文字", 200, 0.5, [3]uint8{0xff, 0, 0xfF}}}},
		{"watermark with an empty colour, as the SDK sends it", "watermark:t_" + text + ",c_", []operation{markText{"水印文字", 150, 0.25, [3]uint8{}}}},
		{"base64 for URLs", "watermark:t_5rC05Y2w5rWL6K-V", []operation{markText{"水印测试", 150, 0.25, [3]uint8{}}}},
		{"base64 for URLs with an underscore", "watermark:t_8J-Yg_CfmIM", []operation{markText{"😃😃", 150, 0.25, [3]uint8{}}}},
		{"base64 with a plus", "watermark:t_5rC05Y2w5rWL6K+V", []operation{markText{"水印测试", 150, 0.25, [3]uint8{}}}},
		{"base64 whose plus was read as a blank", "watermark:t_5rC05Y2w5rWL6K V", []operation{markText{"水印测试", 150, 0.25, [3]uint8{}}}},
		{"base64 with padding", "watermark:t_YQ==", []operation{markText{"a", 150, 0.25, [3]uint8{}}}},
		{"watermark_image", "watermark_image:u_" + url, []operation{mark}},
		{"watermark_image with all, opacity above 1", "watermark_image:u_" + url + ",l_10,t_20,p_2", []operation{at}},
		{"format", "format:t_webp", []operation{format{WebP}}},
		{"save", "save:b_my-bucket,k_dir/a_b:c.png", []operation{save{Save{"my-bucket", "dir/a_b:c.png"}}}},
		{"a pipe", "crop:w_3|rotate:a_90|info", []operation{crop{width: 3}, rotate{1}, info{}}},
		{"ten", strings.Repeat("rotate:a_0|", 9) + "info", []operation{rotate{}, rotate{}, rotate{}, rotate{}, rotate{}, rotate{}, rotate{}, rotate{}, rotate{}, info{}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := Parse(tt.action)
			if err != nil {
				t.Fatalf("Parse(%q): %v", tt.action, err)
			}
			all := cmp.AllowUnexported(crop{}, rotate{}, resize{}, markText{}, markImage{}, format{}, save{})
			if diff := cmp.Diff(tt.want, a.ops, all); diff != "" {
				t.Errorf("Parse(%q) (-want +got):\n%s", tt.action, diff)
			}
			if a.String() != tt.action {
				t.Errorf("Parse(%q).String() = %q", tt.action, a)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	long := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", maxText+1)))
	tests := []struct {
		name   string
		action string
		want   string // in the message
	}{
		{"nothing", "", "it is empty"},
		{"too much", strings.Repeat("x", maxAction+1), "8193 bytes"},
		{"eleven", strings.Repeat("rotate:a_0|", 10) + "info", "11 operations"},
		{"an unknown operation", "rotate:a_90|blur:r_3", `operation 2`},
		{"an unknown operation alone", "blur", `operation 1 ("blur"): there is no such operation`},
		{"an empty operation", "rotate:a_0||info", `operation 2 ("")`},
		{"capitals", "Info", "no such operation"},
		{"something behind info", "info|rotate:a_90", "nothing may follow"},
		{"info with a parameter", "info:w_3", "knows none"},
		{"an unknown parameter", "rotate:a_90,b_1", `the parameter "b" is not known; this operation knows a`},
		{"a long unknown parameter", "rotate:angle_90", "it is needed"},
		{"a parameter without a value", "rotate:a", "not of the form k_v"},
		{"an empty parameter", "rotate:a_90,", "not of the form k_v"},
		{"a parameter twice", "crop:w_1,w_2", `"w" is there more than once`},
		{"a missing one", "rotate", "the parameter a: it is needed"},
		{"an empty one that is needed", "watermark:t_", "the parameter t: it is needed"},
		{"45 degrees", "rotate:a_45", "the parameter a: 45 is not 0, 90, 180 or 270"},
		{"360 degrees", "rotate:a_360", "from 0 to 270"},
		{"a negative angle", "rotate:a_-90", "not a whole number"},
		{"no width", "resize:w_0", `the parameter w: "0" is not a whole number from 1 to 65535`},
		{"a huge width", "resize:w_65536", "from 1 to 65535"},
		{"a width beyond all", "resize:w_99999999999999999999", "from 1 to 65535"},
		{"a width with a point", "resize:w_1.5", "not a whole number"},
		{"a width with a sign", "resize:w_+5", "not a whole number"},
		{"an unknown mode", "resize:w_1,m_3", "the parameter m"},
		{"an unknown gravity", "crop:g_10", "the parameter g"},
		{"gravity and place", "crop:g_1,l_5", "the parameter g: it cannot be there together"},
		{"no base64", "watermark:t_!!!", "the parameter t: it is not base64"},
		{"no UTF-8", "watermark:t__w", "not UTF-8"},
		{"a text with a line break", "watermark:t_YQpi", "control character"},
		{"a blank text", "watermark:t_ICA", "blank"},
		{"a long text", "watermark:t_" + long, "257 characters"},
		{"no opacity", "watermark:t_YQ,p_0", "the parameter p"},
		{"a negative opacity", "watermark:t_YQ,p_-1", "the parameter p"},
		{"an opacity that is no number", "watermark:t_YQ,p_NaN", "the parameter p"},
		{"an infinite opacity", "watermark:t_YQ,p_Inf", "the parameter p"},
		{"a huge text size", "watermark:t_YQ,d_7201", "the parameter d"},
		{"a colour by name", "watermark:t_YQ,c_cmVk", "the parameter c: it is not #rrggbb"},
		{"a colour of three digits", "watermark:t_YQ,c_I2ZmZg", "the parameter c"},
		{"a file", "watermark_image:u_ZmlsZTovLy9ldGMvcGFzc3dk", "does not begin with http://"},
		{"an unknown format", "format:t_bmp", `the parameter t: "bmp" is not jpeg, png, webp or tiff`},
		{"gif", "format:t_gif", "not jpeg, png"},
		{"no key", "save:b_bucket", "the parameter k: it is needed"},
		{"a bad bucket", "save:b_No,k_x", "the parameter b"},
		{"a long key", "save:b_bucket,k_" + strings.Repeat("x", 1024), "the parameter k"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse(tt.action)
			if !errors.Is(err, object.ErrInvalidArgument) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Parse(%.60q) = %v, want an invalid argument that says %q", tt.action, err, tt.want)
			}
		})
	}
}

func TestActionNamesWhatItNeeds(t *testing.T) {
	a, err := Parse("watermark_image:u_aHR0cDovL2Ev|save:b_bucket,k_1|watermark_image:u_aHR0cDovL2Iv|save:b_bucket,k_2")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"http://a/", "http://b/"}, a.Marks()); diff != "" {
		t.Errorf("Marks (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Save{{"bucket", "1"}, {"bucket", "2"}}, a.Saves()); diff != "" {
		t.Errorf("Saves (-want +got):\n%s", diff)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"info", "crop:w_300,h_400,g_0|rotate:a_90", "resize:h_200", "watermark:t_5rC05Y2w5paH5a2X,p_0.5,d_150,c_", "format:t_png|info",
		"watermark_image:u_aHR0cHM6Ly9hL2I,l_10,t_10,p_2", "save:b_bucket,k_a_b", "crop:l_1,t_2", ":", "|", "a:_", "rotate:a_",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := Parse(s)
		if err != nil {
			if !errors.Is(err, object.ErrInvalidArgument) {
				t.Fatalf("Parse(%q) = %v, want an invalid argument", s, err)
			}
			return
		}
		if n := strings.Count(s, "|") + 1; len(a.ops) != n || n > MaxOps {
			t.Fatalf("Parse(%q) has %d operations, want %d, and at most %d", s, len(a.ops), n, MaxOps)
		}
		for _, u := range a.Marks() {
			if !strings.HasPrefix(u, "http") {
				t.Fatalf("Parse(%q) leads to %q, want http or https only", s, u)
			}
		}
		for _, to := range a.Saves() {
			if object.CheckBucket(to.Bucket) != nil || object.CheckKey(to.Key) != nil {
				t.Fatalf("Parse(%q) saves to %q %q", s, to.Bucket, to.Key)
			}
		}
	})
}
