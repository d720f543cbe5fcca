package lifecycle_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cisternhq/cistern/internal/lifecycle"
	"github.com/cisternhq/cistern/internal/object"
)

func TestCheck(t *testing.T) {
	ok := lifecycle.Rule{ID: "a", Status: "enabled", Expire: 1}
	with := func(change func(*lifecycle.Rule)) []lifecycle.Rule {
		r := ok
		change(&r)
		return []lifecycle.Rule{r}
	}
	many := func(n int) (list []lifecycle.Rule) {
		for i := range n {
			list = append(list, lifecycle.Rule{ID: fmt.Sprint(i), Status: "enabled", Prefix: fmt.Sprint(i), Expire: 1})
		}
		return list
	}
	for _, tc := range []struct {
		name  string
		rules []lifecycle.Rule
		want  string // in the error; "" for none
	}{
		{"one", []lifecycle.Rule{ok}, ""},
		{"status in capitals", with(func(r *lifecycle.Rule) { r.Status = "DISABLED" }), ""},
		{"as many as may be", many(100), ""},
		{"too many", many(101), "101 rules"},
		{"none", nil, "0 rules"},
		{"no id", with(func(r *lifecycle.Rule) { r.ID = "" }), "rule[0].id"},
		{"longest id", with(func(r *lifecycle.Rule) { r.ID = strings.Repeat("é", 255) }), ""},
		{"long id", with(func(r *lifecycle.Rule) { r.ID = strings.Repeat("a", 256) }), "rule[0].id has 256"},
		{"other status", with(func(r *lifecycle.Rule) { r.Status = "on" }), `rule[0].status is "on"`},
		{"no status", with(func(r *lifecycle.Rule) { r.Status = "" }), "rule[0].status"},
		{"long prefix", with(func(r *lifecycle.Rule) { r.Prefix = strings.Repeat("a", 1024) }), "rule[0].filter.prefix"},
		{"prefix of bytes", with(func(r *lifecycle.Rule) { r.Prefix = "\xff" }), "rule[0].filter.prefix"},
		{"no action", with(func(r *lifecycle.Rule) { r.Expire = 0 }), "is missing"},
		{"negative days", with(func(r *lifecycle.Rule) { r.Expire = -1 }), "rule[0].expiration.days is -1"},
		{"endless days", with(func(r *lifecycle.Rule) { r.Expire = 100_001 }), "rule[0].expiration.days"},
		{"two actions", with(func(r *lifecycle.Rule) { r.Abort = 1 }), "one rule"},
		{"early transition", with(func(r *lifecycle.Rule) { r.Expire, r.Transition, r.Class = 0, 29, "STANDARD_IA" }), "rule[0].transition.days is 29"},
		{"transition", with(func(r *lifecycle.Rule) { r.Expire, r.Transition, r.Class = 0, 30, "STANDARD_IA" }), ""},
		{"transition back", with(func(r *lifecycle.Rule) { r.Expire, r.Transition, r.Class = 0, 30, "STANDARD" }), "rule[0].transition.storage_class"},
		{"same id", []lifecycle.Rule{ok, {ID: "a", Status: "enabled", Abort: 1}}, "rule[1].id"},
		{"same prefix and action", []lifecycle.Rule{ok, {ID: "b", Status: "disabled", Expire: 2}}, "rule[1] has the prefix and the action of rule[0]"},
		{"same prefix, another action", []lifecycle.Rule{ok, {ID: "b", Status: "enabled", Abort: 2}}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := lifecycle.Check(tc.rules)
			if tc.want == "" {
				if err != nil {
					t.Fatalf("Check = %v, want nil", err)
				}
				return
			}
			if !errors.Is(err, object.ErrInvalidRequest) || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("Check = %v, want an invalid request with %q", err, tc.want)
			}
		})
	}
}
