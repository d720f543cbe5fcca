// Package replicate repeats the changes of one bucket in another one of the same server.
//
// It takes events from the store's outbox and copies what the bucket holds by then, so that repeating an event does no harm. Of two changes of a
// key the later one wins, whichever bucket it was made in. It knows no requests; who may write where is asked of others.
package replicate

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

// Setting is the name of the bucket's setting, a JSON object whose member rules is a list of Rule.
const Setting = "replication"

// tag is the consumer's in the store.
const tag = 'r'

// The limits of the API's page ("PUT Bucket Replication").
const (
	MaxRules    = 1000
	MaxDocument = 2 << 20 // bytes
	maxID       = 255     // characters
	maxPrefix   = 1024    // characters
)

// Rule says what of a bucket is repeated, and where.
type Rule struct {
	ID string `json:"id"`
	// Off: the rule does nothing.
	Off    bool   `json:"off,omitempty"`
	Prefix string `json:"prefix"`
	// Bucket is the other bucket's name, the same in all rules of a bucket. Zone is where it is; "" says nothing.
	Bucket string `json:"bucket"`
	Zone   string `json:"zone,omitempty"`
	// Class is the storage class of the copies; "" is that of the object.
	Class string `json:"class,omitempty"`
	// Existing: what was there before the rule is copied as well. Deletes: what is deleted is deleted there, too.
	Existing bool `json:"existing,omitempty"`
	Deletes  bool `json:"deletes,omitempty"`
}

// Check says what is wrong with rules, by an error that matches [object.ErrInvalidRequest]. Whether the bucket is there is for the caller to judge.
func Check(rules []Rule) error {
	if len(rules) == 0 || len(rules) > MaxRules {
		return object.Explain(object.ErrInvalidRequest, "rules: there are %d, 1 to %d are allowed", len(rules), MaxRules)
	}
	ids := map[string]int{}
	byPrefix := make([]int, len(rules))
	for i, r := range rules {
		byPrefix[i] = i
		if why := r.check(); why != "" {
			return object.Explain(object.ErrInvalidRequest, "rules[%d].%s", i, why)
		}
		if first, ok := ids[r.ID]; ok {
			return object.Explain(object.ErrInvalidRequest, "rules[%d].id is that of rules[%d], too; give each its own", i, first)
		}
		ids[r.ID] = i
		if r.Bucket != rules[0].Bucket {
			return object.Explain(object.ErrInvalidRequest, "rules[%d].destination.bucket is %q, that of rules[0] is %q; all rules have the same", i, r.Bucket, rules[0].Bucket)
		}
	}
	// In order, a prefix is followed at once by those that begin with it.
	slices.SortFunc(byPrefix, func(a, b int) int { return strings.Compare(rules[a].Prefix, rules[b].Prefix) })
	for n, i := range byPrefix[1:] {
		if short := byPrefix[n]; strings.HasPrefix(rules[i].Prefix, rules[short].Prefix) {
			return object.Explain(object.ErrInvalidRequest, "rules[%d].filters.prefix begins with that of rules[%d]; prefixes must not overlap", i, short)
		}
	}
	return nil
}

func (r Rule) check() string {
	switch n := utf8.RuneCountInString(r.ID); {
	case n == 0:
		return "id is missing or empty"
	case n > maxID:
		return fmt.Sprintf("id has %d characters, %d are allowed", n, maxID)
	case utf8.RuneCountInString(r.Prefix) > maxPrefix || !utf8.ValidString(r.Prefix):
		return fmt.Sprintf("filters.prefix is not UTF-8 of at most %d characters", maxPrefix)
	case r.Bucket == "":
		return "destination.bucket is missing or empty"
	case r.Class != "" && r.Class != "STANDARD" && r.Class != "STANDARD_IA":
		return fmt.Sprintf("destination.storage_class is %q; use STANDARD or STANDARD_IA", r.Class)
	}
	return ""
}

// Parse reads the setting.
func Parse(doc []byte) ([]Rule, error) {
	var setting struct {
		Rules []Rule `json:"rules"`
	}
	if err := json.Unmarshal(doc, &setting); err != nil {
		return nil, fmt.Errorf("%w: replication setting: %w", object.ErrDamaged, err)
	}
	return setting.Rules, nil
}

// ruleFor returns the rule that is about key.
func ruleFor(rules []Rule, key string) (Rule, bool) {
	for _, r := range rules {
		if !r.Off && strings.HasPrefix(key, r.Prefix) {
			return r, true
		}
	}
	return Rule{}, false
}

// Consumer is what the store has to know of this package, with room for so many events of each bucket; 0 means 10,000.
func Consumer(maxPending int64) *store.Consumer {
	return &store.Consumer{Tag: tag, Setting: Setting, MaxPending: maxPending, Lanes: func(doc []byte) (func(store.Event) []string, error) {
		rules, err := Parse(doc)
		if err != nil {
			return nil, err
		}
		lane := []string{""}
		return func(e store.Event) []string {
			if e.Replica || e.Kind == store.Aborted {
				return nil
			}
			r, ok := ruleFor(rules, e.Key)
			if !ok || e.Kind == store.Deleted && !r.Deletes {
				return nil
			}
			return lane
		}, nil
	}}
}
