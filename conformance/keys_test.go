package conformance

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/yunify/qingstor-sdk-go/v3/service"
)

// oddKeys holds the classes of keys that the official scenarios go through, and a few more.
var oddKeys = []string{
	// ASCII
	"simple",
	"UPPER and lower.txt",
	"0",
	"dir/sub/file.tar.gz",
	"trailing slash/",
	"dots...and.more.",
	"~tilde_under-dash.dot",
	// Other scripts
	"中文测试",
	"繁體中文",
	"日本語テスト",
	"カタカナ/ひらがな",
	"한국어 테스트",
	"田中さんにあげて下さい",
	"社會科學院語學研究所",
	"Ελληνικά/Кириллица",
	"Ḽơᶉëᶆ ȋṕšᶙṁ",
	// CJK outside of the basic plane
	"𠜎𠜱𠝹𠱓𠱸𠲖𠳏",
	// Punctuation
	`,./;'[]\-=`,
	`<>?:"{}|_+`,
	"!@#$%^&*()`~",
	"a+b c%20d%2Fe&f=g",
	"100%",
	"?query=1#fragment",
	// Quotes
	`'`,
	`"`,
	`''`,
	`""`,
	`'"'`,
	`"''''"'"`,
	`"'"'"''''"`,
	// Long: 17 names of 59 bytes with slashes between them, 1,019 bytes
	strings.TrimSuffix(strings.Repeat(strings.Repeat("n", 59)+"/", 17), "/"),
	// The longest: 341 three-byte characters, 1,023 bytes
	strings.Repeat("长", 341),
	// Emoji with modifiers and joiners
	"😍",
	"👩🏽",
	"👨‍🦰 👨🏿‍🦰 👨‍🦱 👨🏿‍🦱 🦹🏿‍♂️",
	"👾 🙇 💁 🙅 🙆 🙋 🙎 🙍",
	"🐵 🙈 🙉 🙊",
	"❤️ 💔 💌 💕 💞 💓 💗 💖 💘 💝 💟 💜 💛 💚 💙",
	"✋🏿 💪🏿 👐🏿 🙌🏿 👏🏿 🙏🏿",
	"👨‍👩‍👦 👨‍👩‍👧‍👦 👩‍👩‍👧‍👦",
	"🚾 🆒 🆓 🆕 🆖 🆗 🆙 🏧",
	"0️⃣ 1️⃣ 2️⃣ 🔟",
	"🇺🇸🇷🇺🇸 🇦🇫🇦🇲🇸",
	// Digits that are not ASCII
	"\uff11\uff12\uff13",
	"١٢٣",
	// Right to left
	"ثم نفس سقطت وبالتحديد",
	"בְּרֵאשִׁית, בָּרָא אֱלֹהִים",
	"הָיְתָהtestالصفحات التّحول",
	"﷽ ﷺ",
}

// shorten leaves room for an ending of a few bytes.
func shorten(key string) string {
	for len(key) > 1000 {
		_, size := utf8.DecodeLastRuneInString(key)
		key = key[:len(key)-size]
	}
	return key
}

// source names a key as the source of a copy or a move. The SDK escapes the name when it is not all ASCII, and sends it
// raw otherwise: a raw name that reads as an escape is the caller's to escape.
func source(bucket, key string) *string {
	if plain, err := url.PathUnescape(key); (err != nil || plain != key) && isASCII(key) {
		key = strings.ReplaceAll(key, "%", "%25")
	}
	return ptr("/" + bucket + "/" + key)
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) < 0
}

func TestOddKeys(t *testing.T) {
	if len(oddKeys) < 37 {
		t.Fatalf("%d keys, want at least 37", len(oddKeys))
	}
	s := start(t)
	b := s.bucket(t, "odd-keys")
	for i, key := range oddKeys {
		t.Run(fmt.Sprintf("%02d", i), func(t *testing.T) {
			plain, tagged := "plain body of "+key, "tagged body of "+key
			put(t, b, key, plain)
			getHeader(t, b, key, plain)

			out, err := b.PutObject(key, &service.PutObjectInput{
				Body:        strings.NewReader(tagged),
				XQSMetaData: &map[string]string{"x-qs-meta-number": fmt.Sprint(i)},
			})
			if err != nil {
				t.Fatalf("PUT %q with metadata: %v", key, err)
			}
			wantStatus(t, "PUT with metadata", out.StatusCode, 201)
			header := getHeader(t, b, key, tagged)
			if got := header.Get("x-qs-meta-number"); got != fmt.Sprint(i) {
				t.Errorf("GET %q: x-qs-meta-number = %q, want %d", key, got, i)
			}

			head, err := b.HeadObject(key, nil)
			if err != nil {
				t.Fatalf("HEAD %q: %v", key, err)
			}
			if got := value(head.ContentLength); got != int64(len(tagged)) {
				t.Errorf("HEAD %q: Content-Length = %d, want %d", key, got, len(tagged))
			}

			typed, err := b.GetObject(key, &service.GetObjectInput{ResponseContentType: ptr("video/mp4; charset=utf8")})
			if err != nil {
				t.Fatalf("GET %q with a response type: %v", key, err)
			}
			wantBody(t, "GET with a response type", readAll(t, typed.Body), tagged)
			if got := value(typed.ContentType); got != "video/mp4; charset=utf8" {
				t.Errorf("GET %q: Content-Type = %q, want it echoed exactly", key, got)
			}

			status, _, body := anonymous(t, link(t, b, key, nil, 60))
			if status != 200 || body != tagged {
				t.Errorf("signed link of %q = %d %q, want 200 and the bytes", key, status, body)
			}
			if names := keyNames(list(t, b, nil).Keys); !slices.Equal(names, []string{key}) {
				t.Errorf("listed: %q, want %q", names, key)
			}

			copied, moved := shorten(key)+"-copy", shorten(key)+"-move"
			for _, step := range []struct {
				what, key string
				in        service.PutObjectInput
			}{
				{"copy", copied, service.PutObjectInput{XQSCopySource: source("odd-keys", key)}},
				{"move", moved, service.PutObjectInput{XQSMoveSource: source("odd-keys", copied)}},
			} {
				out, err := b.PutObject(step.key, &step.in)
				if err != nil {
					t.Fatalf("%s of %q: %v", step.what, key, err)
				}
				wantStatus(t, step.what, out.StatusCode, 201)
			}
			if got := getHeader(t, b, moved, tagged).Get("x-qs-meta-number"); got != fmt.Sprint(i) {
				t.Errorf("GET %q: x-qs-meta-number = %q, want it copied and moved along: %d", moved, got, i)
			}
			_, err = b.HeadObject(copied, nil)
			wantError(t, "HEAD of what was moved away", err, 404, "")
			if _, err := b.DeleteObject(moved); err != nil {
				t.Fatalf("DELETE %q: %v", moved, err)
			}

			options, err := b.OptionsObject(key, &service.OptionsObjectInput{AccessControlRequestMethod: ptr("GET"), Origin: ptr("qingcloud.com")})
			if err != nil {
				t.Fatalf("OPTIONS %q: %v", key, err)
			}
			wantStatus(t, "OPTIONS", options.StatusCode, 200)

			deleted, err := b.DeleteObject(key)
			if err != nil {
				t.Fatalf("DELETE %q: %v", key, err)
			}
			wantStatus(t, "DELETE", deleted.StatusCode, 204)
			_, err = b.GetObject(key, nil)
			wantError(t, "GET after DELETE", err, 404, "object_not_exists")
		})
	}
}

// Keys that the SDK would fold into others unless it is told not to.
func TestKeysWithoutCleaning(t *testing.T) {
	s := start(t)
	conf := s.config(t)
	conf.DisableURICleaning = true
	b := makeBucket(t, newService(t, conf), "as-they-are", "")
	keys := []string{"/lead", "a", "a/", "a//", "a//b", "a/b", "//"}
	for _, key := range keys {
		put(t, b, key, "body of "+key)
	}
	for _, key := range keys {
		getHeader(t, b, key, "body of "+key)
	}
	want := slices.Sorted(slices.Values(keys))
	if names := keyNames(list(t, b, nil).Keys); !slices.Equal(names, want) {
		t.Errorf("listed: %q, want %q", names, want)
	}
}

// The same keys through the mirror: the source is asked for exactly the bytes of the key, once.
func TestOddKeysThroughMirror(t *testing.T) {
	files := map[string]string{}
	for _, key := range oddKeys {
		files["/base/"+key] = "source body of " + key
	}
	o := newOrigin(t, files)
	s := start(t)
	b := s.bucket(t, "odd-mirror")
	site := o.url + "/base/"
	if _, err := b.PutExternalMirror(&service.PutBucketExternalMirrorInput{SourceSite: &site}); err != nil {
		t.Fatalf("PUT mirror: %v", err)
	}
	for i, key := range oddKeys {
		t.Run(fmt.Sprintf("%02d", i), func(t *testing.T) {
			getHeader(t, b, key, files["/base/"+key])
			getHeader(t, b, key, files["/base/"+key])
			if got := o.count("/base/" + key); got != 1 {
				t.Errorf("the origin saw %d GET requests for %q, want 1", got, key)
			}
		})
	}
}
