package cistern

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

// CORS is what a bucket says to the pages of other origins (QingStor API, "PUT Bucket CORS").
type CORS struct {
	Rules []CORSRule `json:"cors_rules"`
	// Vary is "enabled" where answers are to say that they differ by origin, whether or not the request has one; else "disabled" or "".
	Vary string `json:"resp_vary,omitempty"`
}

// CORSRule lets the pages of some origins make some requests.
type CORSRule struct {
	// Origin is such as "https://example.com"; one "*" in it stands for any text.
	Origin string `json:"allowed_origin"`
	// Methods are some of corsMethods, or "*" for all of them.
	Methods []string `json:"allowed_methods"`
	// Headers are those that a page may set; one "*" in a name stands for any text.
	Headers []string `json:"allowed_headers,omitempty"`
	// Expose are the fields of an answer that a page may see beside the usual ones.
	Expose []string `json:"expose_headers,omitempty"`
	// MaxAge is how long a browser may remember the answer to its question, in seconds; nil leaves that to the browser.
	MaxAge *int `json:"max_age_seconds,omitempty"`
}

// The limits bound what a browser's question costs, which needs no leave.
const (
	maxCORSRules   = 100
	maxCORSHeaders = 100 // of a rule, and of a question
	maxOrigin      = 512 // bytes
)

var corsMethods = []string{"GET", "PUT", "POST", "DELETE", "HEAD"}

// check says which part is wrong.
func (c *CORS) check() error {
	switch c.Vary {
	case "", "enabled", "enable", "disabled", "disable":
	default:
		return fmt.Errorf("resp_vary is %q; use enabled or disabled", c.Vary)
	}
	if len(c.Rules) > maxCORSRules {
		return fmt.Errorf("cors_rules has %d rules, %d are allowed", len(c.Rules), maxCORSRules)
	}
	for i := range c.Rules {
		if err := c.Rules[i].check(); err != nil {
			return fmt.Errorf("cors_rules[%d].%w", i, err)
		}
	}
	return nil
}

func (r *CORSRule) check() error {
	switch {
	case r.Origin == "":
		return errors.New("allowed_origin is missing")
	case !validOrigin(r.Origin):
		return fmt.Errorf("allowed_origin %q is no origin such as \"https://example.com\", of at most %d bytes", r.Origin, maxOrigin)
	case strings.Count(r.Origin, "*") > 1:
		return fmt.Errorf("allowed_origin %q has more than one \"*\"", r.Origin)
	case len(r.Methods) == 0:
		return errors.New("allowed_methods is missing or empty")
	case r.MaxAge != nil && (*r.MaxAge < 0 || *r.MaxAge > 1<<31-1):
		return fmt.Errorf("max_age_seconds is %d; use 0 to %d", *r.MaxAge, 1<<31-1)
	}
	for _, l := range []struct {
		name string
		n    int
	}{{"allowed_headers", len(r.Headers)}, {"expose_headers", len(r.Expose)}, {"allowed_methods", len(r.Methods)}} {
		if l.n > maxCORSHeaders {
			return fmt.Errorf("%s has %d entries, %d are allowed", l.name, l.n, maxCORSHeaders)
		}
	}
	for _, m := range r.Methods {
		if m != "*" && !slices.Contains(corsMethods, m) {
			return fmt.Errorf("allowed_methods holds %q; use %s or \"*\"", m, strings.Join(corsMethods, ", "))
		}
	}
	for _, h := range r.Headers {
		if !validHeaderName(h) || strings.Count(h, "*") > 1 {
			return fmt.Errorf("allowed_headers holds %q, which is no header's name with at most one \"*\"", h)
		}
	}
	for _, h := range r.Expose {
		if !validHeaderName(h) {
			return fmt.Errorf("expose_headers holds %q, which is no header's name", h)
		}
	}
	return nil
}

// validOrigin reports whether s can be an Origin header, which is repeated in answers.
func validOrigin(s string) bool {
	return s != "" && len(s) <= maxOrigin && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune(`",;\<>`, c) })
}

// validHeaderName reports whether s is a token (RFC 9110 §5.6.2), in which "*" is a character like others.
func validHeaderName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != "" && len(s) <= 256
}

// CORS returns the document that SetCORS took, or [object.ErrNoSetting].
func (s *Server) CORS(ctx context.Context, c Caller, bucket string) (CORS, error) {
	b, err := s.open(ctx, c, bucket, "", own)
	if err != nil {
		return CORS{}, err
	}
	doc, err := s.store.Setting(ctx, b, corsSetting)
	if err != nil {
		return CORS{}, err
	}
	got, err := decodeCORS(doc)
	if err != nil {
		return CORS{}, err
	}
	return *got, nil
}

// SetCORS replaces what a bucket says to the pages of other origins. It fails with [object.ErrInvalidArgument] and a text that names the part.
func (s *Server) SetCORS(ctx context.Context, c Caller, bucket string, rules CORS) error {
	b, err := s.open(ctx, c, bucket, "", own)
	if err != nil {
		return err
	}
	if err := rules.check(); err != nil {
		return object.Explain(object.ErrInvalidArgument, "%v", err)
	}
	doc, err := json.Marshal(rules)
	if err != nil {
		return err
	}
	return s.store.SetSetting(ctx, b, corsSetting, doc)
}

// RemoveCORS makes a bucket say nothing to the pages of other origins.
func (s *Server) RemoveCORS(ctx context.Context, c Caller, bucket string) error {
	b, err := s.open(ctx, c, bucket, "", own)
	if err != nil {
		return err
	}
	return s.store.DeleteSetting(ctx, b, corsSetting)
}

func decodeCORS(doc []byte) (*CORS, error) {
	c := &CORS{}
	if err := json.Unmarshal(doc, c); err != nil {
		return nil, fmt.Errorf("%w: cors setting: %w", object.ErrDamaged, err)
	}
	return c, nil
}

// Crossing is a request that a page of another origin makes, or that a browser asks about on its behalf.
type Crossing struct {
	// Origin is the page's; "" for a request that says nothing of one.
	Origin string
	Method string
	// Headers are those that the page sets, as far as a browser asks about them.
	Headers []string
}

// Crossed is what a bucket says to a Crossing.
type Crossed struct {
	// Origin is whose pages may see the answer: "*", or the one that asked. "" means that the bucket does not let them.
	Origin string
	// Methods, Expose and MaxAge are those of the rule that lets them. MaxAge may be nil.
	Methods, Expose []string
	MaxAge          *int
	// Vary: another origin would be answered otherwise.
	Vary bool
}

// Cross says what a bucket makes of x. It gives no leave: whoever asks needs the rights that he needs without a page. So it may be asked without any,
// and tells no more than a browser has to know. It fails with [object.ErrNoSuchBucket].
func (s *Server) Cross(ctx context.Context, bucket string, x Crossing) (Crossed, error) {
	b, err := s.store.Bucket(ctx, bucket)
	if err != nil {
		return Crossed{}, err
	}
	if !b.Settings.May(corsSetting) {
		return Crossed{}, nil
	}
	doc, err := s.store.Setting(ctx, b, corsSetting)
	if errors.Is(err, object.ErrNoSetting) {
		return Crossed{}, nil
	}
	if err != nil {
		return Crossed{}, err
	}
	c, err := s.cors.get(b.ID, doc, decodeCORS)
	if err != nil {
		return Crossed{}, err
	}
	return c.cross(x), nil
}

// varies reports whether the bucket's answers are to say that they differ by origin, whoever asks. What cannot be read says nothing.
func (s *Server) varies(ctx context.Context, b store.Bucket) bool {
	if !b.Settings.May(corsSetting) {
		return false
	}
	doc, err := s.store.Setting(ctx, b, corsSetting)
	if err != nil {
		return false
	}
	c, err := s.cors.get(b.ID, doc, decodeCORS)
	return err == nil && strings.HasPrefix(c.Vary, "enable")
}

// cross finds the first rule that is one for x.
func (c *CORS) cross(x Crossing) Crossed {
	// An answer to one origin, or to none, must not be kept for another one (Fetch standard, "CORS protocol and HTTP caches").
	out := Crossed{Vary: strings.HasPrefix(c.Vary, "enable") || x.Origin != "" && slices.ContainsFunc(c.Rules, func(r CORSRule) bool { return r.Origin != "*" })}
	if !validOrigin(x.Origin) || len(x.Headers) > maxCORSHeaders {
		return out
	}
	for i := range c.Rules {
		r := &c.Rules[i]
		if !r.allows(x) {
			continue
		}
		out.Origin, out.Methods, out.Expose, out.MaxAge = x.Origin, r.Methods, r.Expose, r.MaxAge
		if r.Origin == "*" {
			out.Origin = "*"
		}
		if slices.Contains(r.Methods, "*") {
			out.Methods = corsMethods
		}
		break
	}
	return out
}

func (r *CORSRule) allows(x Crossing) bool {
	if !matchesOne(strings.TrimSuffix(r.Origin, "/"), x.Origin) {
		return false
	}
	if !slices.Contains(r.Methods, x.Method) && !(slices.Contains(r.Methods, "*") && slices.Contains(corsMethods, x.Method)) {
		return false
	}
	for _, h := range x.Headers {
		if !validHeaderName(h) || !slices.ContainsFunc(r.Headers, func(p string) bool { return matchesOne(p, h) }) {
			return false
		}
	}
	return true
}

// matchesOne reports whether text is what pattern says, in which one "*" stands for any text. Neither scheme and host of an origin nor the names
// of headers know upper and lower case.
func matchesOne(pattern, text string) bool {
	before, after, star := strings.Cut(pattern, "*")
	if !star {
		return strings.EqualFold(pattern, text)
	}
	return len(text) >= len(before)+len(after) && strings.EqualFold(text[:len(before)], before) && strings.EqualFold(text[len(text)-len(after):], after)
}
