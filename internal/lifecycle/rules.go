// Package lifecycle ages objects: rules of a bucket say after how many days they are deleted or labelled otherwise.
//
// It works on what is stored, through the store alone. It knows no requests, and no sources: what it deletes in a bucket with a mirror is fetched again
// when somebody asks for it.
package lifecycle

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/cisternhq/cistern/internal/object"
)

// Setting is the name of the bucket's setting, a JSON object whose member rules is a list of Rule.
const Setting = "lifecycle"

const (
	// MaxRules and MaxID bound a bucket's rules and the characters of a rule's ID (QingStor API, "PUT Bucket Lifecycle").
	MaxRules = 100
	MaxID    = 255

	minTransitionDays = 30
	// maxDays keeps a number of days within what time.Duration can hold: about 292 years.
	maxDays = 100_000
)

// InfrequentAccess is the one storage class that objects can be moved to.
const InfrequentAccess = "STANDARD_IA"

// Rule is one rule: it does one thing to the objects whose keys begin with Prefix.
type Rule struct {
	ID string `json:"id"`
	// Status is "enabled" or "disabled" in any case, kept as it was set.
	Status string `json:"status"`
	Prefix string `json:"prefix"`

	// Exactly one of these is not 0, in days.
	Expire     int `json:"expire,omitempty"`     // after the last modification of an object
	Abort      int `json:"abort,omitempty"`      // after the beginning of a multipart upload
	Transition int `json:"transition,omitempty"` // after the last modification of an object, to Class
	// Class is the storage class of a transition.
	Class string `json:"class,omitempty"`
}

func (r Rule) enabled() bool { return strings.EqualFold(r.Status, "enabled") }

// action names what the rule does, as the API does.
func (r Rule) action() string {
	switch {
	case r.Expire != 0:
		return "expiration"
	case r.Abort != 0:
		return "abort_incomplete_multipart_upload"
	case r.Transition != 0:
		return "transition"
	}
	return ""
}

// Check says what is wrong with rules, by an error that matches [object.ErrInvalidRequest].
func Check(rules []Rule) error {
	if len(rules) == 0 || len(rules) > MaxRules {
		return object.Explain(object.ErrInvalidRequest, "rule: there are %d rules, 1 to %d are allowed", len(rules), MaxRules)
	}
	ids := map[string]int{}
	does := map[[2]string]int{}
	for i, r := range rules {
		if why := r.check(); why != "" {
			return object.Explain(object.ErrInvalidRequest, "rule[%d].%s", i, why)
		}
		if first, ok := ids[r.ID]; ok {
			return object.Explain(object.ErrInvalidRequest, "rule[%d].id is that of rule[%d], too; give each rule its own", i, first)
		}
		ids[r.ID] = i
		if first, ok := does[[2]string{r.action(), r.Prefix}]; ok {
			return object.Explain(object.ErrInvalidRequest, "rule[%d] has the prefix and the action of rule[%d]; keep one of them", i, first)
		}
		does[[2]string{r.action(), r.Prefix}] = i
	}
	return nil
}

func (r Rule) check() string {
	switch n := utf8.RuneCountInString(r.ID); {
	case n == 0:
		return "id is missing or empty"
	case n > MaxID:
		return fmt.Sprintf("id has %d characters, %d are allowed", n, MaxID)
	case !r.enabled() && !strings.EqualFold(r.Status, "disabled"):
		return fmt.Sprintf("status is %q; use enabled or disabled", r.Status)
	case len(r.Prefix) > object.MaxKeyLen:
		return fmt.Sprintf("filter.prefix has %d bytes; no key has more than %d", len(r.Prefix), object.MaxKeyLen)
	case !utf8.ValidString(r.Prefix):
		return "filter.prefix is not UTF-8"
	}
	some := 0
	for _, a := range [...]struct {
		days, least int
		name        string
	}{
		{r.Expire, 1, "expiration.days"}, {r.Abort, 1, "abort_incomplete_multipart_upload.days_after_initiation"},
		{r.Transition, minTransitionDays, "transition.days"},
	} {
		switch {
		case a.days == 0:
			continue
		case a.days < a.least || a.days > maxDays:
			return fmt.Sprintf("%s is %d; %d to %d are allowed", a.name, a.days, a.least, maxDays)
		}
		some++
	}
	switch {
	case some == 0:
		return "expiration, abort_incomplete_multipart_upload or transition is missing, or its days are 0"
	case some > 1:
		return "expiration and the other actions stand in one rule; write a rule for each"
	case r.Transition != 0 && r.Class != InfrequentAccess:
		return fmt.Sprintf("transition.storage_class is %q; the only one is %s", r.Class, InfrequentAccess)
	}
	return ""
}

// Parse reads the setting.
func Parse(doc []byte) ([]Rule, error) {
	var setting struct {
		Rules []Rule `json:"rules"`
	}
	if err := json.Unmarshal(doc, &setting); err != nil {
		return nil, fmt.Errorf("%w: lifecycle setting: %w", object.ErrDamaged, err)
	}
	return setting.Rules, nil
}
