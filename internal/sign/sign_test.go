package sign_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cisternhq/cistern/internal/sign"
)

const (
	keyID  = "CISTERNTESTKEY000001"
	secret = "cistern-test-secret-key-0123456789abcdef"
	date   = "Wed, 10 Dec 2014 17:20:31 GMT"
)

var now = time.Date(2014, 12, 10, 17, 20, 31, 0, time.UTC)

// headers makes a header from pairs of names and values; names in their canonical form, as net/http delivers them.
func headers(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

// dated is headers with the Date of the vectors.
func dated(pairs ...string) http.Header { return headers(append([]string{"Date", date}, pairs...)...) }

// vectors were made with the official Go client, and checked with an HMAC of another library.
var vectors = []struct {
	name      string
	request   sign.Request
	expires   int64 // 0: header form
	text      string
	signature string
}{
	{
		name:      "list buckets",
		request:   sign.Request{Method: "GET", Path: "/", Query: "limit=10", Header: dated("Location", "zone1")},
		text:      "GET\n\n\n" + date + "\n/",
		signature: "cvxOT8lITsA3icxS/vPWTNZm3+NJ74W0uJ+BA/i4U1Y=",
	}, {
		name:      "get acl, path style",
		request:   sign.Request{Method: "GET", Path: "/mybucket", Query: "acl=", Header: dated()},
		text:      "GET\n\n\n" + date + "\n/mybucket?acl",
		signature: "NHvqcbhr1Ntc0yhJ+kOCQ5mDMglx7GSgK1Ua3gV0gNU=",
	}, {
		name:      "get acl, virtual host",
		request:   sign.Request{Method: "GET", Path: "/", Query: "acl=", Header: dated(), Bucket: "mybucket"},
		text:      "GET\n\n\n" + date + "\n/mybucket/?acl",
		signature: "6eX/UsmfbVZNzCOKjxZofI8hg3ovJCx4Id1rPrT0ogY=",
	}, {
		name:      "put mirror",
		request:   sign.Request{Method: "PUT", Path: "/mybucket", Query: "mirror=", Header: dated("Content-Type", "application/json")},
		text:      "PUT\n\napplication/json\n" + date + "\n/mybucket?mirror",
		signature: "sdNS6LxDBai7fiJm9PFcQ92uswVA4XuBc9prhRMTQMU=",
	}, {
		name: "put object",
		request: sign.Request{Method: "PUT", Path: "/mybucket/dir/%28%27this%20is%20test%27%2C%29%20%E4%B8%AD%E6%96%87%2B=.jpg",
			Header: dated("Content-MD5", "4gJE4saaMU4BqNR0kLY+lw==", "Content-Type", "image/jpeg", "x-qs-meta-owner", "alice",
				"x-qs-meta-colour", "blue", "x-qs-storage-class", "STANDARD_IA")},
		text: "PUT\n4gJE4saaMU4BqNR0kLY+lw==\nimage/jpeg\n" + date + "\nx-qs-meta-colour:blue\nx-qs-meta-owner:alice\n" +
			"x-qs-storage-class:STANDARD_IA\n/mybucket/dir/%28%27this%20is%20test%27%2C%29%20%E4%B8%AD%E6%96%87%2B=.jpg",
		signature: "9+yXQFcQErEsmWJEKtVw40jJocNlKwURMvLaqIHZQ/k=",
	}, {
		name: "copy object",
		request: sign.Request{Method: "PUT", Path: "/mybucket/copy.txt",
			Header: headers("X-QS-Date", date, "x-qs-copy-source", "/mybucket/%E4%B8%AD%E6%96%87%20a.txt",
				"x-qs-copy-source-if-match", `"199389a12492266114933fc428e8cfdc"`)},
		text: "PUT\n\n\n\nx-qs-copy-source:/mybucket/%E4%B8%AD%E6%96%87%20a.txt\n" +
			"x-qs-copy-source-if-match:\"199389a12492266114933fc428e8cfdc\"\nx-qs-date:" + date + "\n/mybucket/copy.txt",
		signature: "VtEwddGNSsSKqcRt8I3J1oGmgzpYfFAFm0KqjMDysqk=",
	}, {
		name: "upload part",
		request: sign.Request{Method: "PUT", Path: "/mybucket/movie.mov",
			Query: "part_number=3&upload_id=dbb3d762975711e6b457525441715ab4", Header: dated()},
		text:      "PUT\n\n\n" + date + "\n/mybucket/movie.mov?part_number=3&upload_id=dbb3d762975711e6b457525441715ab4",
		signature: "1pc4ZCURPyrFtTmYYZ5M8PbXBV73Jl+rNdSe7xMgNC0=",
	}, {
		name: "response overrides",
		request: sign.Request{Method: "GET", Path: "/mybucket/file%20name.txt",
			Query:  "response-content-disposition=attachment%3B+filename%3D%22a+b.txt%22&response-content-type=text%2Fplain%3B+charset%3Dutf-8",
			Header: dated()},
		text: "GET\n\n\n" + date + "\n/mybucket/file%20name.txt?response-content-disposition=attachment; filename=\"a b.txt\"" +
			"&response-content-type=text/plain; charset=utf-8",
		signature: "qm3ikZcBGGaLnWZtXaXXE1fAhVEadscfohiK9fKD/+Y=",
	}, {
		name: "delete multiple",
		request: sign.Request{Method: "POST", Path: "/mybucket", Query: "delete=",
			Header: dated("Content-MD5", "rVtKwXdrfja2V6D0xE6tFA==", "Content-Type", "application/json")},
		text:      "POST\nrVtKwXdrfja2V6D0xE6tFA==\napplication/json\n" + date + "\n/mybucket?delete",
		signature: "qP2DGvSYCYkZjAE/zBDcv6FPaBoCfiu8mqnkr1CYthY=",
	}, {
		name: "list objects, path style",
		request: sign.Request{Method: "GET", Path: "/mybucket", Query: "delimiter=%2F&limit=5&prefix=a+b%2F%E4%B8%AD",
			Header: dated()},
		text:      "GET\n\n\n" + date + "\n/mybucket",
		signature: "M7Jspm5dop8MEfnKGZGtWyX/TTiBk2ejhvLFrMCew+w=",
	}, {
		name: "list objects, virtual host",
		request: sign.Request{Method: "GET", Path: "/", Query: "delimiter=%2F&limit=5&prefix=a+b%2F%E4%B8%AD", Header: dated(),
			Bucket: "mybucket"},
		text:      "GET\n\n\n" + date + "\n/mybucket/",
		signature: "RjVWItuMiz1BPKee8JzKkP9I2pQawTW5Xz47bCpFyjs=",
	}, {
		name: "image",
		request: sign.Request{Method: "GET", Path: "/mybucket/a.jpg", Query: "action=resize%3Aw_300%2Ch_400%7Crotate%3Aa_90&image=",
			Header: dated()},
		text:      "GET\n\n\n" + date + "\n/mybucket/a.jpg?image",
		signature: "bFpulpDDWQ//z+gFLgOkbhmDFxF9m2rlkfZMe/BqfzY=",
	}, {
		name:      "append",
		request:   sign.Request{Method: "POST", Path: "/mybucket/log.txt", Query: "append=&position=1024", Header: dated()},
		text:      "POST\n\n\n" + date + "\n/mybucket/log.txt?append&position=1024",
		signature: "MQ3t96wE/oulglK5+eGVSE3S0e1l13EXt60zPss9lh4=",
	}, {
		name:      "link, path style",
		request:   sign.Request{Method: "GET", Path: "/mybucket/music%20file%2B.mp3", Header: headers()},
		expires:   1479107162,
		text:      "GET\n\n\n1479107162\n/mybucket/music%20file%2B.mp3",
		signature: "06oLIEDUNLISuc96SPHhJnEQqVoANuiVF5vNtooEGtU=",
	}, {
		name:      "link, virtual host",
		request:   sign.Request{Method: "GET", Path: "/music%20file%2B.mp3", Header: headers(), Bucket: "mybucket"},
		expires:   1479107162,
		text:      "GET\n\n\n1479107162\n/mybucket/music%20file%2B.mp3",
		signature: "06oLIEDUNLISuc96SPHhJnEQqVoANuiVF5vNtooEGtU=",
	}, {
		name:      "link to upload",
		request:   sign.Request{Method: "PUT", Path: "/mybucket/up.txt", Header: headers("Content-Type", "text/plain")},
		expires:   1479107162,
		text:      "PUT\n\ntext/plain\n1479107162\n/mybucket/up.txt",
		signature: "ybXD+88JeFcGdZyv33qdzxlMYiFdORW0XLN8ZNhuusk=",
	},
}

func TestVectors(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			r := v.request
			if v.expires == 0 {
				if got := sign.StringToSign(r); got != v.text {
					t.Errorf("StringToSign = %q, want %q", got, v.text)
				}
				auth := sign.Header(r, keyID, secret)
				if want := "QS " + keyID + ":" + v.signature; auth != want {
					t.Errorf("Header = %q, want %q", auth, want)
				}
				r.Header.Set("Authorization", auth)
			} else {
				if got := sign.QueryStringToSign(r, v.expires); got != v.text {
					t.Errorf("QueryStringToSign = %q, want %q", got, v.text)
				}
				r.Query = sign.Query(r, keyID, secret, v.expires)
				if want := "signature=" + strings.ReplaceAll(v.signature, "+", "%2B"); !strings.HasSuffix(r.Query, want) {
					t.Errorf("Query = %q, want the end %q", r.Query, want)
				}
			}
			wantVerified(t, r, nil)
			r.Method = "PATCH"
			wantVerified(t, r, sign.ErrMismatch)
		})
	}
}

// wantVerified checks r as a server does.
func wantVerified(t *testing.T, r sign.Request, want error) {
	t.Helper()
	c, ok, err := sign.Parse(r)
	if err == nil && !ok {
		t.Fatal("Parse = anonymous, want credentials")
	}
	if err == nil {
		if c.KeyID != keyID {
			t.Errorf("key id = %q, want %q", c.KeyID, keyID)
		}
		err = c.Verify(r, secret, now)
	}
	if !errors.Is(err, want) {
		t.Errorf("verdict = %v, want %v", err, want)
	}
}

func TestPresignAppendsToTheQuery(t *testing.T) {
	r := sign.Request{Method: "GET", Path: "/b/k", Query: "response-content-type=text%2Fplain", Header: headers()}
	got := sign.Query(r, "a+b", secret, 1479107162)
	if want := "response-content-type=text%2Fplain&access_key_id=a%2Bb&expires=1479107162&signature="; !strings.HasPrefix(got, want) {
		t.Errorf("Query = %q, want the beginning %q", got, want)
	}
}

func TestOtherForms(t *testing.T) {
	// signedAs signs one request and sends another: what one client signs for what it sends.
	tests := []struct {
		name       string
		sent, text sign.Request
		want       error
	}{
		{"path style signs /b/", sign.Request{Path: "/mybucket"}, sign.Request{Path: "/mybucket/"}, nil},
		{"path style with a slash signs /b", sign.Request{Path: "/mybucket/"}, sign.Request{Path: "/mybucket"}, nil},
		{"virtual host signs /b", sign.Request{Path: "/", Bucket: "mybucket"}, sign.Request{Path: "/mybucket"}, nil},
		{"root with a setting", sign.Request{Path: "/mybucket/", Query: "acl"}, sign.Request{Path: "/mybucket", Query: "acl="}, nil},
		{"an object has one form", sign.Request{Path: "/mybucket/k/"}, sign.Request{Path: "/mybucket/k"}, sign.ErrMismatch},
		{"the service is no bucket", sign.Request{Path: "/"}, sign.Request{Path: "//"}, sign.ErrMismatch},
		{"another bucket", sign.Request{Path: "/k", Bucket: "bucket-b"}, sign.Request{Path: "/k", Bucket: "bucket-a"}, sign.ErrMismatch},
		{"escapes are not made anew", sign.Request{Path: "/b/a%2Fb"}, sign.Request{Path: "/b/a/b"}, sign.ErrMismatch},
		{"lower-case escapes", sign.Request{Path: "/b/%2a"}, sign.Request{Path: "/b/%2a"}, nil},
		{"trailing & and unsigned parameters", sign.Request{Path: "/b", Query: "mirror&&limit=3&"}, sign.Request{Path: "/b", Query: "mirror"}, nil},
		{"raw value", // the official Python client signs what stands in its URL
			sign.Request{Path: "/b/k", Query: "response-content-type=video/mp4%3B%20charset%3Dutf8"},
			sign.Request{Path: "/b/k", Query: "response-content-type=video/mp4%253B%2520charset%253Dutf8"}, nil},
		{"a parameter added", sign.Request{Path: "/b/k", Query: "acl"}, sign.Request{Path: "/b/k"}, sign.ErrMismatch},
		{"a parameter taken away", sign.Request{Path: "/b/k"}, sign.Request{Path: "/b/k", Query: "acl"}, sign.ErrMismatch},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.text.Method, tt.text.Header = "GET", dated()
			tt.sent.Method, tt.sent.Header = "GET", dated("Authorization", sign.Header(tt.text, keyID, secret))
			wantVerified(t, tt.sent, tt.want)
		})
	}
}

func TestSkew(t *testing.T) {
	at := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	tests := []struct {
		name   string
		header http.Header
		want   error
	}{
		{"16 minutes behind", headers("Date", at(-16*time.Minute)), sign.ErrExpired},
		{"15 minutes behind", headers("Date", at(-15*time.Minute)), nil},
		{"14 minutes behind", headers("Date", at(-14*time.Minute)), nil},
		{"15 minutes ahead", headers("Date", at(15*time.Minute)), nil},
		{"16 minutes ahead", headers("Date", at(16*time.Minute)), sign.ErrExpired},
		{"X-QS-Date alone", headers("X-Qs-Date", at(0)), nil},
		{"X-QS-Date beats a wrong Date", headers("X-Qs-Date", at(0), "Date", at(-time.Hour)), nil},
		{"a wrong X-QS-Date beats Date", headers("X-Qs-Date", at(-time.Hour), "Date", at(0)), sign.ErrExpired},
		{"no date", headers(), sign.ErrMalformed},
		{"empty X-QS-Date", headers("X-Qs-Date", "", "Date", at(0)), sign.ErrMalformed},
		{"another time zone", headers("Date", "Wed, 10 Dec 2014 17:20:31 UTC"), sign.ErrMalformed},
		{"RFC 3339", headers("Date", "2014-12-10T17:20:31Z"), sign.ErrMalformed},
		{"two dates", headers("Date", at(0), "Date", at(0)), sign.ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := sign.Request{Method: "GET", Path: "/b/k", Header: tt.header}
			r.Header.Set("Authorization", sign.Header(r, keyID, secret))
			wantVerified(t, r, tt.want)
		})
	}
}

func TestLinkExpires(t *testing.T) {
	for d, want := range map[time.Duration]error{
		-time.Second: sign.ErrExpired, 0: nil, time.Hour: nil, 20 * 365 * 24 * time.Hour: nil,
	} {
		r := sign.Request{Method: "GET", Path: "/b/k", Header: headers()}
		r.Query = sign.Query(r, keyID, secret, now.Add(d).Unix())
		t.Run(d.String(), func(t *testing.T) { wantVerified(t, r, want) })
	}
}

func TestParseRefuses(t *testing.T) {
	const sig = "06oLIEDUNLISuc96SPHhJnEQqVoANuiVF5vNtooEGtU="
	const link = "access_key_id=K&signature=" + sig
	tests := []struct {
		name   string
		query  string
		header http.Header
	}{
		{"no expires", link, nil},
		{"no signature", "access_key_id=K&expires=1479107162", nil},
		{"no key id", "expires=1479107162&signature=" + sig, nil},
		{"expires alone", "expires=1", nil},
		{"expires 0", link + "&expires=0", nil},
		{"expires empty", link + "&expires=", nil},
		{"expires negative", link + "&expires=-1", nil},
		{"expires signed", link + "&expires=%2B1479107162", nil},
		{"expires as a float", link + "&expires=1e9", nil},
		{"expires with a zero in front", link + "&expires=01479107162", nil},
		{"expires beyond 2^53", link + "&expires=9007199254740993", nil},
		{"expires beyond 2^63", link + "&expires=9999999999999999999", nil},
		{"expires twice", link + "&expires=1479107162&expires=1479107162", nil},
		{"signature twice", link + "&expires=1479107162&signature=" + sig, nil},
		{"broken escape in a credential", link + "&expires=1479107162%", nil},
		{"credentials in both places", link + "&expires=1479107162", headers("Authorization", "QS K:"+sig)},
		{"two Authorization headers", "", headers("Authorization", "QS K:"+sig, "Authorization", "QS K:"+sig)},
		{"another scheme", "", headers("Authorization", "Basic SzpTZWNyZXQ=")},
		{"empty Authorization", "", headers("Authorization", "")},
		{"no colon", "", headers("Authorization", "QS K")},
		{"empty key id", "", headers("Authorization", "QS :"+sig)},
		{"blank in the key id", "", headers("Authorization", "QS K L:"+sig)},
		{"long key id", "", headers("Authorization", "QS "+strings.Repeat("K", 129)+":"+sig)},
		{"x-qs header twice", "", headers("Authorization", "QS K:"+sig, "x-qs-meta-a", "1", "x-qs-meta-a", "2")},
		{"Content-Type twice", "", headers("Authorization", "QS K:"+sig, "Content-Type", "a", "Content-Type", "b")},
		{"Content-MD5 twice", "", headers("Authorization", "QS K:"+sig, "Content-MD5", "a", "Content-MD5", "b")},
		{"signed parameter twice", "upload_id=a&upload_id=b", headers("Authorization", "QS K:"+sig)},
		{"signed parameter twice, once escaped", "acl&%61cl", headers("Authorization", "QS K:"+sig)},
		{"signed parameter with a broken escape", "upload_id=%zz", headers("Authorization", "QS K:"+sig)},
		{"smuggled acl", "response-content-disposition=x%26acl", headers("Authorization", "QS K:"+sig)},
		{"smuggled with a value", "response-expires=x%26a%26upload_id%3D3", headers("Authorization", "QS K:"+sig)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, ok, err := sign.Parse(sign.Request{Method: "GET", Path: "/b/k", Query: tt.query, Header: tt.header})
			if ok || !errors.Is(err, sign.ErrMalformed) {
				t.Errorf("Parse = %v, %v, want ErrMalformed", ok, err)
			}
		})
	}
}

func TestAnonymous(t *testing.T) {
	_, ok, err := sign.Parse(sign.Request{Method: "GET", Path: "/b/k", Query: "acl&limit=3", Header: dated("X-Qs-Meta-A", "b")})
	if ok || err != nil {
		t.Errorf("Parse = %v, %v, want an anonymous request", ok, err)
	}
}

func TestAmpersandInAValueIsFine(t *testing.T) {
	r := sign.Request{Method: "GET", Path: "/b/k", Query: "response-content-disposition=a%26b%26aclx", Header: dated()}
	r.Header.Set("Authorization", sign.Header(r, keyID, secret))
	wantVerified(t, r, nil)
}

func TestBrokenSignatures(t *testing.T) {
	r := sign.Request{Method: "GET", Path: "/mybucket", Query: "acl=", Header: dated()}
	good := strings.TrimPrefix(sign.Header(r, keyID, secret), "QS "+keyID+":") // holds "+"
	for name, sig := range map[string]string{
		"empty":               "",
		"no padding":          strings.TrimSuffix(good, "="),
		"URL alphabet":        strings.NewReplacer("+", "-", "/", "_").Replace(good),
		"bytes behind":        good + "AAAA",
		"not base64":          "!" + good[1:],
		"loose trailing bits": good[:len(good)-2] + "V=",
		"line break":          good[:20] + "\n" + good[20:],
		"of another secret":   strings.TrimPrefix(sign.Header(r, keyID, "x"), "QS "+keyID+":"),
	} {
		t.Run(name, func(t *testing.T) {
			if sig == good {
				t.Fatal("the broken signature is the good one")
			}
			r.Header.Set("Authorization", "QS "+keyID+":"+sig)
			wantVerified(t, r, sign.ErrMismatch)
		})
	}
}

// FuzzVerify holds the law that what is signed verifies, unless it is refused as ambiguous, and that a changed secret never does.
func FuzzVerify(f *testing.F) {
	for _, v := range vectors {
		f.Add(v.request.Method, v.request.Path, v.request.Query, v.request.Bucket, v.request.Header.Get("Content-Type"), v.expires)
	}
	f.Add("GET", "", "a=%zz&acl=%26acl&&=&%61cl", "b", "\x00", int64(-1))
	f.Fuzz(func(t *testing.T, method, path, query, bucket, value string, expires int64) {
		r := sign.Request{Method: method, Path: path, Query: query, Bucket: bucket, Header: dated("Content-Type", value, "x-qs-meta-a", value)}
		if _, ok, err := sign.Parse(r); ok || err != nil {
			return // it holds credentials, or is malformed, before we sign it
		}
		if expires > now.Unix() {
			r.Query = sign.Query(r, keyID, secret, expires)
		} else {
			r.Header.Set("Authorization", sign.Header(r, keyID, secret))
		}
		c, ok, err := sign.Parse(r)
		if errors.Is(err, sign.ErrMalformed) {
			return
		}
		if !ok || err != nil {
			t.Fatalf("Parse = %v, %v, want credentials", ok, err)
		}
		if err := c.Verify(r, secret, now); err != nil {
			t.Errorf("Verify = %v, want nil", err)
		}
		if err := c.Verify(r, secret+"x", now); !errors.Is(err, sign.ErrMismatch) {
			t.Errorf("Verify with another secret = %v, want ErrMismatch", err)
		}
	})
}

// FuzzParse reads whatever comes.
func FuzzParse(f *testing.F) {
	f.Add("acl=&access_key_id=K&expires=1479107162&signature=x", "")
	f.Add("", "QS K:AAAA")
	f.Fuzz(func(t *testing.T, query, auth string) {
		r := sign.Request{Method: "GET", Path: "/b/k", Query: query, Header: dated()}
		if auth != "" {
			r.Header.Set("Authorization", auth)
		}
		c, ok, err := sign.Parse(r)
		if err != nil && (ok || !errors.Is(err, sign.ErrMalformed)) {
			t.Errorf("Parse = %v, %v, want ErrMalformed alone", ok, err)
		}
		if ok {
			if err := c.Verify(r, "a secret that nobody has", now); err == nil {
				t.Error("Verify accepted a made-up signature")
			}
		}
	})
}

// The vector of a form (made with an independent HMAC, as those of requests).
func TestForm(t *testing.T) {
	const policy = "eyJrZXkiOiAidXNlci90b20vJHtmaWxlbmFtZX0iLCAicmVkaXJlY3QiOiAiaHR0cDovL2FwcC5leGFtcGxlL2NhbGxiYWNrIn0="
	const want = "zphZ9Vs10guoLnywY2UbqTUH0ubA9Au4CIg1p2U0rmA="
	if got := sign.Form(policy, secret); got != want {
		t.Errorf("Form = %s, want %s", got, want)
	}
	if !sign.VerifyForm(policy, want, secret) || sign.VerifyForm(policy+" ", want, secret) || sign.VerifyForm(policy, want, secret+" ") || sign.VerifyForm(policy, "", secret) {
		t.Error("VerifyForm takes another signature than Form makes")
	}
}
