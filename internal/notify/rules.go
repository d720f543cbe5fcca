// Package notify tells others by HTTP what happened to a bucket's objects.
//
// It takes events from the store's outbox, where they wait through failures and restarts, and decides who is told what and when. It knows no requests and
// opens no connections: the way out is given to it.
package notify

import (
	"encoding/json"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

// Setting is the name of the bucket's setting, a JSON object whose member rules is a list of Rule.
const Setting = "notification"

// tag is the consumer's in the store.
const tag = 'n'

// The limits bound what a change of an object costs its bucket's owner, and the server.
const (
	MaxRules   = 100
	MaxID      = 255 // characters
	maxFilters = 20
	maxFilter  = object.MaxKeyLen // bytes
)

// What is done with an event (QingStor API, "PUT Bucket Notification").
const (
	// FuncNotifier sends it to the URL.
	FuncNotifier = "notifier"
	// FuncModeration is a service of QingCloud that looks at pictures. There is none here, so nothing is done.
	FuncModeration = "tupu-porn"
	// FuncImage stores a processed copy of a picture.
	FuncImage = "image"
)

// kinds are the types of events by the names that they have in a setting, and in what is sent.
var kinds = []struct {
	kind       store.EventKind
	name, sent string
}{
	{store.Created, "create_object", "create_object"},
	{store.Deleted, "delete_object", "delete_object"},
	{store.Completed, "complete_multipart", "complete_upload"},
	{store.Aborted, "abort_multipart", "abort_upload"},
}

// Rule is one notification of a bucket.
type Rule struct {
	ID string `json:"id"`
	// Events are names of types of events.
	Events []string `json:"events"`
	// Filters are patterns of keys, one of which must match; none means all keys. In a pattern "*" stands for any text, "?" for any character.
	Filters []string `json:"filters,omitempty"`
	// Func is what is done.
	Func string `json:"func"`
	// URL is told by POST; "" tells nobody.
	URL string `json:"url,omitempty"`
	// Private: it was set with the operator's key, so it may lead to private addresses.
	Private bool `json:"private,omitempty"`
	// Picture is what FuncImage makes.
	Picture *Picture `json:"picture,omitempty"`
}

// Picture is what is made of a picture, and where it goes.
type Picture struct {
	// Action is an action of Image Process.
	Action string `json:"action"`
	// Prefix is what stands before the picture's key in that of the result.
	Prefix string `json:"prefix"`
	// Bucket is the result's.
	Bucket string `json:"bucket"`
}

// Check says what is wrong with rules, by an error that matches [object.ErrInvalidRequest]. Where their URLs lead is for the caller to judge.
func Check(rules []Rule) error {
	if len(rules) == 0 || len(rules) > MaxRules {
		return object.Explain(object.ErrInvalidRequest, "notifications: there are %d, 1 to %d are allowed", len(rules), MaxRules)
	}
	ids := map[string]int{}
	for i, r := range rules {
		if why := r.check(); why != "" {
			return object.Explain(object.ErrInvalidRequest, "notifications[%d].%s", i, why)
		}
		if first, ok := ids[r.ID]; ok {
			return object.Explain(object.ErrInvalidRequest, "notifications[%d].id is that of notifications[%d], too; give each its own", i, first)
		}
		ids[r.ID] = i
	}
	return nil
}

func (r Rule) check() string {
	switch n := utf8.RuneCountInString(r.ID); {
	case n == 0:
		return "id is missing or empty"
	case n > MaxID:
		return fmt.Sprintf("id has %d characters, %d are allowed", n, MaxID)
	case r.Func != FuncNotifier && r.Func != FuncModeration && r.Func != FuncImage:
		return fmt.Sprintf("cloudfunc is %q; use %s, %s or %s", r.Func, FuncNotifier, FuncImage, FuncModeration)
	case r.Func == FuncNotifier && r.URL == "":
		return "notify_url is missing: there would be nobody to notify"
	case r.Func == FuncImage && (r.Picture == nil || r.Picture.Action == ""):
		return "cloudfunc_args.action is missing"
	case r.Func != FuncImage && r.Picture != nil:
		return "cloudfunc_args is for the cloudfunc image only"
	case len(r.Events) == 0:
		return "event_types is missing or empty"
	case len(r.Filters) > maxFilters:
		return fmt.Sprintf("object_filters has %d patterns, %d are allowed", len(r.Filters), maxFilters)
	}
	for i, name := range r.Events {
		if _, ok := kindOf(name); !ok {
			return fmt.Sprintf("event_types[%d] is %q; use create_object, delete_object, complete_multipart or abort_multipart", i, name)
		}
	}
	for i, f := range r.Filters {
		if f == "" || len(f) > maxFilter || !utf8.ValidString(f) {
			return fmt.Sprintf("object_filters[%d] is not 1 to %d bytes of UTF-8", i, maxFilter)
		}
	}
	return ""
}

func kindOf(name string) (store.EventKind, bool) {
	for _, k := range kinds {
		if k.name == name {
			return k.kind, true
		}
	}
	return 0, false
}

// Parse reads the setting.
func Parse(doc []byte) ([]Rule, error) {
	var setting struct {
		Rules []Rule `json:"rules"`
	}
	if err := json.Unmarshal(doc, &setting); err != nil {
		return nil, fmt.Errorf("%w: notification setting: %w", object.ErrDamaged, err)
	}
	return setting.Rules, nil
}

// wants reports whether there is something to do about e.
func (r Rule) wants(e store.Event) bool {
	if r.Func == FuncModeration || r.Func == FuncImage && (e.Derived || r.URL == "" && !makes(e.Kind)) {
		return false
	}
	if !slices.ContainsFunc(r.Events, func(name string) bool { k, _ := kindOf(name); return k == e.Kind }) {
		return false
	}
	return len(r.Filters) == 0 || slices.ContainsFunc(r.Filters, func(f string) bool { return matches(f, e.Key) })
}

// makes reports whether there is a new object of which something can be made.
func makes(k store.EventKind) bool { return k == store.Created || k == store.Completed }

// matches reports whether text is what pattern describes, in steps of at most the product of their lengths.
func matches(pattern, text string) bool {
	// Behind the last "*" that was met, and how far it reaches so far. When what follows does not fit, it takes one character more: an
	// earlier "*" never has to, since whatever it could reach the last one can.
	star, reach := -1, 0
	p, t := 0, 0
	for t < len(text) {
		_, size := utf8.DecodeRuneInString(text[t:])
		switch {
		case p < len(pattern) && pattern[p] == '*':
			p++
			star, reach = p, t
		case p < len(pattern) && pattern[p] == '?':
			p, t = p+1, t+size
		case p < len(pattern) && pattern[p] == text[t]:
			p, t = p+1, t+1
		case star >= 0:
			_, size = utf8.DecodeRuneInString(text[reach:])
			reach += size
			p, t = star, reach
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// Consumer is what the store has to know of this package, with room for so many events of each rule; 0 means 10,000.
func Consumer(maxPending int64) *store.Consumer {
	return &store.Consumer{Tag: tag, Setting: Setting, MaxPending: maxPending, Lanes: func(doc []byte) (func(store.Event) []string, error) {
		rules, err := Parse(doc)
		if err != nil {
			return nil, err
		}
		return func(e store.Event) []string {
			var lanes []string
			for _, r := range rules {
				if r.wants(e) {
					lanes = append(lanes, r.ID)
				}
			}
			return lanes
		}, nil
	}}
}
