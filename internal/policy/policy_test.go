package policy_test

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/policy"
)

func parse(t testing.TB, doc string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse([]byte(doc), "photos")
	if err != nil {
		t.Fatalf("Parse(%s): %v", doc, err)
	}
	return p
}

// rule is a statement with the members of rest and those that are always needed.
func rule(id, effect, rest string) string {
	return `{"id":"` + id + `","effect":"` + effect + `",` + rest + `}`
}

func TestDecide(t *testing.T) {
	const everybody = `"user":["*"]`
	get := func(effect, rest string) string {
		return rule("r", effect, everybody+`,"action":["get_object"],"resource":["photos/*"]`+rest)
	}
	list := func(effect, resource string) string {
		return rule("r", effect, everybody+`,"action":["list_objects"]`+resource)
	}
	a := func(s string) netip.Addr { return netip.MustParseAddr(s) }
	tests := []struct {
		name string
		doc  string
		r    policy.Request
		want policy.Decision
	}{
		{"no statement", ``, policy.Request{Action: "get_object", Key: "a"}, policy.Silent},
		{"everybody, without a signature", get("allow", ""), policy.Request{Action: "get_object", Key: "a"}, policy.Allow},
		{"everybody, a user", get("allow", ""), policy.Request{User: "bob", Action: "get_object", Key: "a"}, policy.Allow},
		{"another action", get("allow", ""), policy.Request{Action: "head_object", Key: "a"}, policy.Silent},
		{"an action that policies do not have", get("allow", ""), policy.Request{Action: "own"}, policy.Silent},
		{"the user", rule("r", "allow", `"user":["bob","eve"],"action":["get_object"],"resource":["photos/*"]`), policy.Request{User: "eve", Action: "get_object", Key: "a"}, policy.Allow},
		{"another user", rule("r", "allow", `"user":["bob"],"action":["get_object"],"resource":["photos/*"]`), policy.Request{User: "bo", Action: "get_object", Key: "a"}, policy.Silent},
		{"nobody is no user", rule("r", "allow", `"user":["bob"],"action":["get_object"],"resource":["photos/*"]`), policy.Request{Action: "get_object", Key: "a"}, policy.Silent},

		{"the first one decides: deny", get("deny", "") + "," + rule("s", "allow", everybody+`,"action":["get_object"],"resource":["photos/*"]`), policy.Request{Action: "get_object", Key: "a"}, policy.Deny},
		{"the first one decides: allow", get("allow", "") + "," + rule("s", "deny", everybody+`,"action":["get_object"],"resource":["photos/*"]`), policy.Request{Action: "get_object", Key: "a"}, policy.Allow},
		{"the first one that is about it", rule("s", "deny", everybody+`,"action":["get_object"],"resource":["photos/secret/*"]`) + "," + get("allow", ""), policy.Request{Action: "get_object", Key: "open/a"}, policy.Allow},

		{"the specification's spelling", rule("r", "allow", everybody+`,"action":["upload_multipart","list_multipart"],"resource":["photos/*"]`), policy.Request{Action: "upload_object_part", Key: "a"}, policy.Allow},
		{"the pages' spelling", rule("r", "allow", everybody+`,"action":["list_object_parts"],"resource":["photos/*"]`), policy.Request{Action: "list_object_parts", Key: "a"}, policy.Allow},

		{"a key without stars", rule("r", "allow", everybody+`,"action":["get_object"],"resource":["photos/a?b"]`), policy.Request{Action: "get_object", Key: "a?b"}, policy.Allow},
		{"a question mark is no pattern", rule("r", "allow", everybody+`,"action":["get_object"],"resource":["photos/a?b"]`), policy.Request{Action: "get_object", Key: "axb"}, policy.Silent},
		{"stars", rule("r", "allow", everybody+`,"action":["get_object"],"resource":["photos/a*/b*.jpg"]`), policy.Request{Action: "get_object", Key: "a1/x/b2.jpg"}, policy.Allow},
		{"pieces do not overlap", rule("r", "allow", everybody+`,"action":["get_object"],"resource":["photos/ab*ba"]`), policy.Request{Action: "get_object", Key: "aba"}, policy.Silent},
		{"the second resource", rule("r", "allow", everybody+`,"action":["get_object"],"resource":["photos/x","photos/y"]`), policy.Request{Action: "get_object", Key: "y"}, policy.Allow},

		{"a bucket's action without resource", rule("r", "allow", everybody+`,"action":["head_bucket"]`), policy.Request{Action: "head_bucket"}, policy.Allow},
		{"a bucket's action", rule("r", "allow", everybody+`,"action":["get_bucket_stats"],"resource":["photos"]`), policy.Request{Action: "get_bucket_stats"}, policy.Allow},
		{"all keys are the bucket, too", rule("r", "allow", everybody+`,"action":["head_bucket","get_object"],"resource":["photos/*"]`), policy.Request{Action: "head_bucket"}, policy.Allow},
		{"the bucket is no key", rule("r", "allow", everybody+`,"action":["head_bucket","get_object"],"resource":["photos","photos/a/*"]`), policy.Request{Action: "get_object", Key: "b"}, policy.Silent},

		{"any listing without resource", list("allow", ""), policy.Request{Action: "list_objects"}, policy.Allow},
		{"any listing of the bucket", list("allow", `,"resource":["photos"]`), policy.Request{Action: "list_objects", Key: "b/"}, policy.Allow},
		{"a listing within the prefix", list("allow", `,"resource":["photos/dir/*"]`), policy.Request{Action: "list_objects", Key: "dir/sub"}, policy.Allow},
		{"a listing of the prefix", list("allow", `,"resource":["photos/dir/*"]`), policy.Request{Action: "list_objects", Key: "dir/"}, policy.Allow},
		{"a listing that shows more", list("allow", `,"resource":["photos/dir/*"]`), policy.Request{Action: "list_objects", Key: "dir"}, policy.Silent},
		{"a listing of all", list("allow", `,"resource":["photos/dir/*"]`), policy.Request{Action: "list_objects"}, policy.Silent},
		{"a listing cannot be kept to an ending", list("allow", `,"resource":["photos/*.jpg"]`), policy.Request{Action: "list_objects", Key: "a.jpg"}, policy.Silent},
		{"a denied listing", list("deny", `,"resource":["photos/secret/*"]`), policy.Request{Action: "list_objects", Key: "secret/a"}, policy.Deny},
		{"a listing that would show what is denied", list("deny", `,"resource":["photos/secret/*"]`), policy.Request{Action: "list_objects", Key: ""}, policy.Deny},
		{"a listing beside what is denied", list("deny", `,"resource":["photos/secret/*"]`), policy.Request{Action: "list_objects", Key: "open/"}, policy.Silent},

		{"referer is like", get("allow", `,"condition":{"string_like":{"Referer":["http://a/*","https://*.example.com/*"]}}`), policy.Request{Action: "get_object", Key: "a", Referer: "https://www.example.com/p"}, policy.Allow},
		{"referer is not like", get("allow", `,"condition":{"string_like":{"Referer":["https://*.example.com/*"]}}`), policy.Request{Action: "get_object", Key: "a", Referer: "https://evil.test/"}, policy.Silent},
		{"referer is missing", get("allow", `,"condition":{"string_like":{"Referer":["https://*"]}}`), policy.Request{Action: "get_object", Key: "a"}, policy.Silent},
		{"referer must not be like", get("deny", `,"condition":{"string_not_like":{"Referer":["https://good/*","https://fine/*"]}}`), policy.Request{Action: "get_object", Key: "a", Referer: "https://fine/x"}, policy.Silent},
		{"referer is like none", get("deny", `,"condition":{"string_not_like":{"Referer":["https://good/*","https://fine/*"]}}`), policy.Request{Action: "get_object", Key: "a", Referer: "https://bad/x"}, policy.Deny},
		{"no referer is asked for", get("allow", `,"condition":{"is_null":{"Referer":true}}`), policy.Request{Action: "get_object", Key: "a"}, policy.Allow},
		{"no referer is asked for, there is one", get("allow", `,"condition":{"is_null":{"Referer":true}}`), policy.Request{Action: "get_object", Key: "a", Referer: "x"}, policy.Silent},
		{"a referer is asked for", get("allow", `,"condition":{"is_null":{"Referer":false}}`), policy.Request{Action: "get_object", Key: "a", Referer: "x"}, policy.Allow},

		{"address in a network", get("allow", `,"condition":{"ip_address":{"source_ip":["10.0.0.0/8","192.0.2.0/24"]}}`), policy.Request{Action: "get_object", Key: "a", Address: a("192.0.2.7")}, policy.Allow},
		{"address in no network", get("allow", `,"condition":{"ip_address":{"source_ip":["192.0.2.0/24"]}}`), policy.Request{Action: "get_object", Key: "a", Address: a("192.0.3.7")}, policy.Silent},
		{"one address", get("allow", `,"condition":{"ip_address":{"source_ip":["192.0.2.1"]}}`), policy.Request{Action: "get_object", Key: "a", Address: a("192.0.2.1")}, policy.Allow},
		{"IPv4 as IPv6", get("allow", `,"condition":{"ip_address":{"source_ip":["192.0.2.0/24"]}}`), policy.Request{Action: "get_object", Key: "a", Address: a("::ffff:192.0.2.7")}, policy.Allow},
		{"a network of IPv4 as IPv6", get("allow", `,"condition":{"ip_address":{"source_ip":["::ffff:192.0.2.0/120"]}}`), policy.Request{Action: "get_object", Key: "a", Address: a("192.0.2.7")}, policy.Allow},
		{"IPv6", get("allow", `,"condition":{"ip_address":{"source_ip":["2001:db8::/32"]}}`), policy.Request{Action: "get_object", Key: "a", Address: a("2001:db8:1::1")}, policy.Allow},
		{"an address with a zone", get("allow", `,"condition":{"ip_address":{"source_ip":["fe80::/10"]}}`), policy.Request{Action: "get_object", Key: "a", Address: a("fe80::1%eth0")}, policy.Allow},
		{"address outside", get("deny", `,"condition":{"not_ip_address":{"source_ip":["10.0.0.0/8"]}}`), policy.Request{Action: "get_object", Key: "a", Address: a("192.0.2.7")}, policy.Deny},
		{"address not outside", get("deny", `,"condition":{"not_ip_address":{"source_ip":["10.0.0.0/8"]}}`), policy.Request{Action: "get_object", Key: "a", Address: a("10.1.2.3")}, policy.Silent},
		{"an unknown address is let in nowhere", get("allow", `,"condition":{"not_ip_address":{"source_ip":["10.0.0.0/8"]}}`), policy.Request{Action: "get_object", Key: "a"}, policy.Silent},
		{"an unknown address is kept out", get("deny", `,"condition":{"ip_address":{"source_ip":["10.0.0.0/8"]}}`), policy.Request{Action: "get_object", Key: "a"}, policy.Deny},

		{"all operators hold", get("allow", `,"condition":{"ip_address":{"source_ip":["10.0.0.0/8"]},"string_like":{"Referer":["x*"]}}`), policy.Request{Action: "get_object", Key: "a", Address: a("10.1.2.3"), Referer: "xy"}, policy.Allow},
		{"one operator does not", get("allow", `,"condition":{"ip_address":{"source_ip":["10.0.0.0/8"]},"string_like":{"Referer":["x*"]}}`), policy.Request{Action: "get_object", Key: "a", Address: a("10.1.2.3"), Referer: "y"}, policy.Silent},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := parse(t, "["+tt.doc+"]").Decide(tt.r); got != tt.want {
				t.Errorf("Decide(%+v) = %v, want %v by %s", tt.r, got, tt.want, tt.doc)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	full := map[string]string{
		"id": `"r"`, "user": `["*"]`, "action": `["get_object"]`, "effect": `"allow"`, "resource": `["photos/*"]`,
	}
	// with is a statement in which one member is another one; "" leaves it out.
	with := func(name, value string) string {
		var b strings.Builder
		for _, n := range []string{"id", "user", "action", "effect", "resource", name} {
			v := full[n]
			if n == name {
				v = value
			}
			if v != "" && !strings.Contains(b.String(), `"`+n+`":`) {
				b.WriteString(`,"` + n + `":` + v)
			}
		}
		return "[{" + b.String()[1:] + "}]"
	}
	long := func(n int) string { return `"` + strings.Repeat("x", n) + `"` }
	tests := []struct{ name, doc, text string }{
		{"no list", `{}`, "statement is no list"},
		{"null", `null`, "statement is missing"},
		{"more behind", `[]]`, "statement is no list"},
		{"an unknown member", with("principal", `"x"`), "statement is no list"},
		{"no id", with("id", ""), "statement[0].id is missing"},
		{"a long id", with("id", long(101)), "statement[0].id has 101 characters, 100"},
		{"no user", with("user", ""), "statement[0].user is missing"},
		{"an empty user", with("user", `[""]`), "user holds an empty text"},
		{"a pattern of users", with("user", `["b*"]`), `user "b*" is no pattern`},
		{"long users", with("user", `[`+long(200)+`,`+long(101)+`]`), "user has 301 characters in all, 300"},
		{"no action", with("action", `[]`), "action is missing"},
		{"an unknown action", with("action", `["get_object","put_object"]`), `action "put_object" is unknown`},
		{"all actions", with("action", `["*"]`), `action "*" is unknown`},
		{"another case", with("action", `["Get_Object"]`), `action "Get_Object" is unknown`},
		{"long actions", with("action", `[`+strings.Repeat(`"complete_multipart_upload",`, 20)+`"get_object"]`), "action has 510 characters"},
		{"no effect", with("effect", ""), "effect is missing"},
		{"another effect", with("effect", `"Allow"`), `effect is "Allow"`},
		{"no resource for objects", with("resource", ""), "resource lacks objects for get_object"},
		{"the bucket for objects", with("resource", `["photos"]`), "resource lacks objects for get_object"},
		{"another bucket", with("resource", `["photos/*","videos/*"]`), `resource "videos/*" is not of this bucket`},
		{"a pattern of buckets", with("resource", `["*"]`), `resource "*" is not of this bucket`},
		{"no key", with("resource", `["photos/"]`), "names no keys"},
		{"a key that is none", with("resource", `["photos/`+strings.Repeat("x", 1024)+`"]`), "longer than any key"},
		{"long resources", with("resource", `["photos/`+strings.Repeat("x", 1000)+`","photos/`+strings.Repeat("y", 1000)+`","photos/`+strings.Repeat("z", 100)+`"]`), "resource has 2121 characters"},
		{"some keys for the bucket", `[{"id":"r","user":["*"],"action":["head_bucket"],"effect":"allow","resource":["photos/a/*"]}]`, "resource lacks the bucket for head_bucket"},
		{"no operator", with("condition", `{}`), "condition has no operator"},
		{"an unknown operator", with("condition", `{"string_equals":{"Referer":["x"]}}`), "statement is no list"},
		{"an unknown element", with("condition", `{"string_like":{"user_agent":["x"]}}`), "statement is no list"},
		{"no pattern", with("condition", `{"string_like":{}}`), "condition.string_like.Referer is missing"},
		{"no network", with("condition", `{"not_ip_address":{"source_ip":[]}}`), "condition.not_ip_address.source_ip is missing"},
		{"a wrong network", with("condition", `{"ip_address":{"source_ip":["10.0.0.0/8","10.0.0.0/33"]}}`), `"10.0.0.0/33" is no network`},
		{"a name for a network", with("condition", `{"ip_address":{"source_ip":["localhost"]}}`), `"localhost" is no network`},
		{"an address with a zone", with("condition", `{"ip_address":{"source_ip":["fe80::1%eth0"]}}`), "is no network"},
		{"half of a mapped network", with("condition", `{"ip_address":{"source_ip":["::ffff:0:0/90"]}}`), "is no network"},
		{"null of nothing", with("condition", `{"is_null":{}}`), "condition.is_null.Referer is missing"},
		{"a long condition", with("condition", `{"string_like":{"Referer":[`+long(2048)+`]}}`), "condition has more than 2048"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := policy.Parse([]byte(tt.doc), "photos")
			if !errors.Is(err, object.ErrInvalidArgument) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("Parse(%s) = %v, want invalid argument %q", tt.doc, err, tt.text)
			}
		})
	}
	r := rule("r", "allow", `"user":["*"],"action":["head_bucket"]`)
	if _, err := policy.Parse([]byte("["+r+","+r+"]"), "photos"); err == nil || !strings.Contains(err.Error(), `statement[1].id "r" is there twice`) {
		t.Errorf("Parse(the same id twice) = %v", err)
	}
}

func TestDocumentIsWhatWasSet(t *testing.T) {
	const doc = `[{"id":"r","user":["*"],"action":["list_multipart"],"effect":"deny","resource":["photos/*"],` +
		`"condition":{"not_ip_address":{"source_ip":["10.0.0.1/8"]},"is_null":{"Referer":false}}}]`
	if got := string(parse(t, doc).Document()); got != doc {
		t.Errorf("Document() = %s, want %s", got, doc)
	}
}

// A pattern that would take a backtracking matcher longer than the world has been there.
func TestPatternsCostLittle(t *testing.T) {
	pattern, text := strings.Repeat("a*", 500)+"b", strings.Repeat("a", 8_000)
	p := parse(t, "["+rule("r", "allow", `"user":["*"],"action":["get_object"],"resource":["photos/*"],"condition":{"string_like":{"Referer":["`+pattern+`"]}}`)+"]")
	if got := p.Decide(policy.Request{Action: "get_object", Key: "a", Referer: text}); got != policy.Silent {
		t.Errorf("Decide = %v, want silence", got)
	}
	if got := p.Decide(policy.Request{Action: "get_object", Key: "a", Referer: text + "b"}); got != policy.Allow {
		t.Errorf("Decide = %v, want allow", got)
	}
}

// What is too long to be looked at lets nobody in and keeps everybody out.
func TestLongReferer(t *testing.T) {
	long := strings.Repeat("a", 8193)
	for effect, want := range map[string]policy.Decision{"allow": policy.Silent, "deny": policy.Deny} {
		for _, operator := range []string{"string_like", "string_not_like"} {
			p := parse(t, "["+rule("r", effect, `"user":["*"],"action":["get_object"],"resource":["photos/*"],"condition":{"`+operator+`":{"Referer":["b*"]}}`)+"]")
			if got := p.Decide(policy.Request{Action: "get_object", Key: "a", Referer: long}); got != want {
				t.Errorf("%s by %s = %v, want %v", effect, operator, got, want)
			}
		}
	}
}

// FuzzParse: whatever is accepted reads back as itself and answers any question.
func FuzzParse(f *testing.F) {
	f.Add(`[{"id":"r","user":["*"],"action":["get_object"],"effect":"allow","resource":["photos/*"]}]`, "a")
	f.Add(`[{"id":"r","user":["bob"],"action":["list_objects"],"effect":"deny","resource":["photos/a*b*"],"condition":{"ip_address":{"source_ip":["::1"]}}}]`, "ab")
	f.Add(`[{"id":"r","user":["bob"],"action":["head_bucket"],"effect":"deny","condition":{"is_null":{"Referer":true},"string_like":{"Referer":["**"]}}}]`, "")
	f.Fuzz(func(t *testing.T, doc, text string) {
		p, err := policy.Parse([]byte(doc), "photos")
		if err != nil {
			if !errors.Is(err, object.ErrInvalidArgument) {
				t.Fatalf("Parse = %v, want an invalid argument", err)
			}
			return
		}
		again, err := policy.Parse(p.Document(), "photos")
		if err != nil {
			t.Fatalf("Parse(Document()) = %v", err)
		}
		for _, action := range []string{"get_object", "list_objects", "head_bucket"} {
			r := policy.Request{User: "bob", Action: action, Key: text, Referer: text, Address: netip.IPv6Loopback()}
			if a, b := p.Decide(r), again.Decide(r); a != b {
				t.Errorf("Decide(%+v) = %v, after a round trip %v", r, a, b)
			}
		}
	})
}

// FuzzPattern holds the matching of patterns against one that is slow and plain.
func FuzzPattern(f *testing.F) {
	f.Add("a*b*c", "axxbxxc")
	f.Add("*", "")
	f.Add("ab*ba", "aba")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern) > 20 || len(text) > 20 {
			return
		}
		resource, err := json.Marshal("photos/" + pattern)
		if err != nil {
			t.Fatal(err)
		}
		var plain string
		if err := json.Unmarshal(resource, &plain); err != nil {
			t.Fatal(err)
		}
		pattern = strings.TrimPrefix(plain, "photos/") // as JSON can carry it
		p, err := policy.Parse([]byte("["+rule("r", "allow", `"user":["*"],"action":["get_object"],"resource":[`+string(resource)+`]`)+"]"), "photos")
		if err != nil {
			return
		}
		got := p.Decide(policy.Request{Action: "get_object", Key: text}) == policy.Allow
		if want := slow(pattern, text); got != want {
			t.Errorf("pattern %q, text %q: %v, want %v", pattern, text, got, want)
		}
	})
}

func slow(pattern, text string) bool {
	switch {
	case pattern == "":
		return text == ""
	case pattern[0] == '*':
		return slow(pattern[1:], text) || text != "" && slow(pattern, text[1:])
	}
	return text != "" && text[0] == pattern[0] && slow(pattern[1:], text[1:])
}

func BenchmarkDecide(b *testing.B) {
	p := parse(b, "["+rule("r", "deny", `"user":["*"],"action":["get_object"],"resource":["photos/*"],"condition":{"not_ip_address":{"source_ip":["10.0.0.0/8"]}}`)+
		","+rule("s", "allow", `"user":["*"],"action":["get_object"],"resource":["photos/public/*"]`)+"]")
	r := policy.Request{Action: "get_object", Key: "public/cat.jpg", Address: netip.MustParseAddr("10.1.2.3")}
	for b.Loop() {
		if p.Decide(r) != policy.Allow {
			b.Fatal("not allowed")
		}
	}
}
