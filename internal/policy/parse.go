package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/cisternhq/cistern/internal/object"
)

// The limits of a statement, in characters (QingStor API, "Bucket Policy"). All but the first are for the texts of a list together.
const (
	maxID        = 100
	maxUsers     = 300
	maxActions   = 500
	maxResources = 2048
	maxCondition = 2048
)

// Statement is one rule, in the form of the API.
type Statement struct {
	ID        string     `json:"id"`
	User      []string   `json:"user"`
	Action    []string   `json:"action"`
	Effect    string     `json:"effect"`
	Resource  []string   `json:"resource,omitempty"`
	Condition *Condition `json:"condition,omitempty"`
}

// Condition is when a statement is about a request: all of its operators must hold. A nil one asks for nothing.
type Condition struct {
	StringLike    *Referers  `json:"string_like,omitempty"`
	StringNotLike *Referers  `json:"string_not_like,omitempty"`
	IPAddress     *Addresses `json:"ip_address,omitempty"`
	NotIPAddress  *Addresses `json:"not_ip_address,omitempty"`
	IsNull        *Null      `json:"is_null,omitempty"`
}

// Referers are patterns of the Referer header.
type Referers struct {
	Referer []string `json:"Referer"`
}

// Addresses are networks, such as "192.0.2.0/24".
type Addresses struct {
	SourceIP []string `json:"source_ip"`
}

// Null says whether the Referer header is to be missing.
type Null struct {
	Referer *bool `json:"Referer"`
}

// scope is what an action is on.
type scope int

const (
	onObject scope = iota
	onListing
	onBucket
)

// actionsOn are the actions that policies know, by the spelling of the API's pages.
var actionsOn = map[string]scope{
	"get_object":                onObject,
	"head_object":               onObject,
	"create_object":             onObject,
	"delete_object":             onObject,
	"initiate_multipart_upload": onObject,
	"upload_object_part":        onObject,
	"list_object_parts":         onObject,
	"complete_multipart_upload": onObject,
	"abort_multipart_upload":    onObject,
	"list_objects":              onListing,
	"head_bucket":               onBucket,
	"get_bucket_stats":          onBucket,
}

// spellings are how the API's specification names some of them.
var spellings = map[string]string{
	"initiate_multipart": "initiate_multipart_upload",
	"upload_multipart":   "upload_object_part",
	"list_multipart":     "list_object_parts",
	"complete_multipart": "complete_multipart_upload",
	"abort_multipart":    "abort_multipart_upload",
}

// Parse reads a JSON list of statements about a bucket. What it does not understand it refuses: a statement that is silently not applied would leave
// open what its author believes to be closed. It fails with object.ErrInvalidArgument and a text that names the part.
func Parse(doc []byte, bucket string) (*Policy, error) {
	var list []Statement
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.DisallowUnknownFields()
	err := dec.Decode(&list)
	if _, end := dec.Token(); err != nil || end != io.EOF {
		return nil, object.Explain(object.ErrInvalidArgument, "statement is no list of statements as the API has them")
	}
	if list == nil {
		return nil, object.Explain(object.ErrInvalidArgument, "the member statement is missing, a list")
	}
	p := &Policy{statements: make([]statement, 0, len(list))}
	ids := make(map[string]bool, len(list))
	for i := range list {
		s, err := list[i].compile(bucket)
		if err == nil && ids[list[i].ID] {
			err = fmt.Errorf("id %q is there twice", list[i].ID)
		}
		if err != nil {
			return nil, object.Explain(object.ErrInvalidArgument, "statement[%d].%v", i, err)
		}
		ids[list[i].ID] = true
		p.statements = append(p.statements, s)
	}
	p.doc, err = json.Marshal(list)
	return p, err
}

// compile checks a statement; its errors begin with the member that is wrong.
func (in *Statement) compile(bucket string) (statement, error) {
	var s statement
	switch n := utf8.RuneCountInString(in.ID); {
	case n == 0:
		return s, errors.New("id is missing or empty")
	case n > maxID:
		return s, fmt.Errorf("id has %d characters, %d are allowed", n, maxID)
	}
	switch in.Effect {
	case "allow":
		s.effect = Allow
	case "deny":
		s.effect = Deny
	case "":
		return s, errors.New("effect is missing: use allow or deny")
	default:
		return s, fmt.Errorf("effect is %s: use allow or deny", quote(in.Effect))
	}
	if err := checkList("user", in.User, maxUsers); err != nil {
		return s, err
	}
	for _, u := range in.User {
		if u != "*" && strings.Contains(u, "*") {
			return s, fmt.Errorf("user %s is no pattern: use ids, or \"*\" for everybody", quote(u))
		}
	}
	s.users, s.everyone = in.User, slices.Contains(in.User, "*")
	if err := checkList("action", in.Action, maxActions); err != nil {
		return s, err
	}
	s.actions = make(map[string]bool, len(in.Action))
	for _, a := range in.Action {
		name := a
		if page, ok := spellings[a]; ok {
			name = page
		}
		if _, ok := actionsOn[name]; !ok {
			return s, fmt.Errorf("action %s is unknown", quote(a))
		}
		s.actions[name] = true
	}
	if err := s.resources(in.Resource, bucket); err != nil {
		return s, err
	}
	return s, s.conditions(in.Condition)
}

// resources reads what a statement is about: the bucket, written as its name, and keys, written as BUCKET/PATTERN. All keys of the bucket stand
// for the bucket, too.
func (s *statement) resources(list []string, bucket string) error {
	if len(list) > 0 {
		if err := checkList("resource", list, maxResources); err != nil {
			return err
		}
	}
	s.bucket = len(list) == 0
	for _, r := range list {
		name, pattern, hasKeys := strings.Cut(r, "/")
		switch {
		case name != bucket:
			return fmt.Errorf("resource %s is not of this bucket: use %q or \"%s/PATTERN\"", quote(r), bucket, bucket)
		case !hasKeys || pattern == "*":
			s.bucket = true
		}
		switch {
		case !hasKeys:
		case pattern == "":
			return fmt.Errorf("resource %s names no keys: use \"%s/*\" for all of them", quote(r), bucket)
		case len(pattern) > object.MaxKeyLen+strings.Count(pattern, "*"):
			return fmt.Errorf("resource %s is longer than any key", quote(r))
		default:
			s.keys = append(s.keys, newGlob(pattern))
		}
	}
	// A resource that an action cannot be on would make a statement without effect.
	for a := range s.actions {
		switch on := actionsOn[a]; {
		case on == onObject && len(s.keys) == 0:
			return fmt.Errorf("resource lacks objects for %s: add \"%s/PATTERN\", such as \"%s/*\"", a, bucket, bucket)
		case on == onBucket && !s.bucket:
			return fmt.Errorf("resource lacks the bucket for %s: add %q", a, bucket)
		}
	}
	return nil
}

func (s *statement) conditions(c *Condition) error {
	if c == nil {
		return nil
	}
	if doc, err := json.Marshal(c); err != nil || utf8.RuneCount(doc) > maxCondition {
		return fmt.Errorf("condition has more than %d characters", maxCondition)
	}
	for _, o := range []struct {
		name string
		in   *Referers
		not  bool
	}{{"string_like", c.StringLike, false}, {"string_not_like", c.StringNotLike, true}} {
		if o.in == nil {
			continue
		}
		if len(o.in.Referer) == 0 {
			return fmt.Errorf("condition.%s.Referer is missing or empty", o.name)
		}
		patterns := make([]glob, 0, len(o.in.Referer))
		for _, r := range o.in.Referer {
			patterns = append(patterns, newGlob(r))
		}
		s.when = append(s.when, referer{patterns, o.not})
	}
	for _, o := range []struct {
		name string
		in   *Addresses
		not  bool
	}{{"ip_address", c.IPAddress, false}, {"not_ip_address", c.NotIPAddress, true}} {
		if o.in == nil {
			continue
		}
		if len(o.in.SourceIP) == 0 {
			return fmt.Errorf("condition.%s.source_ip is missing or empty", o.name)
		}
		networks := make([]netip.Prefix, 0, len(o.in.SourceIP))
		for _, text := range o.in.SourceIP {
			n, ok := network(text)
			if !ok {
				return fmt.Errorf("condition.%s.source_ip: %s is no network such as \"192.0.2.0/24\"", o.name, quote(text))
			}
			networks = append(networks, n)
		}
		s.when = append(s.when, address{networks, o.not})
	}
	if c.IsNull != nil {
		if c.IsNull.Referer == nil {
			return errors.New("condition.is_null.Referer is missing: use true or false")
		}
		s.when = append(s.when, noReferer(*c.IsNull.Referer))
	}
	if len(s.when) == 0 {
		return errors.New("condition has no operator")
	}
	return nil
}

// network reads a network, or an address, which is a network of one. One of IPv4 in the form of IPv6 is one of IPv4.
func network(text string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(text); err == nil {
		if a.Zone() != "" {
			return netip.Prefix{}, false
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	n, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, false
	}
	if a := n.Addr(); a.Is4In6() {
		if n.Bits() < 96 {
			return netip.Prefix{}, false // all of IPv4 and more: nobody means that
		}
		n = netip.PrefixFrom(a.Unmap(), n.Bits()-96)
	}
	return n.Masked(), true
}

// checkList checks a list of texts that may have max characters together.
func checkList(name string, list []string, max int) error {
	if len(list) == 0 {
		return fmt.Errorf("%s is missing or empty", name)
	}
	total := 0
	for _, text := range list {
		if text == "" {
			return fmt.Errorf("%s holds an empty text", name)
		}
		total += utf8.RuneCountInString(text)
	}
	if total > max {
		return fmt.Errorf("%s has %d characters in all, %d are allowed", name, total, max)
	}
	return nil
}

// quote is a text of the document within a message.
func quote(s string) string {
	const shown = 64
	if len(s) > shown {
		return fmt.Sprintf("%q...", s[:shown])
	}
	return fmt.Sprintf("%q", s)
}
