package keys_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cisternhq/cistern/internal/keys"
)

func open(t *testing.T, path string) *keys.Ring {
	t.Helper()
	r, err := keys.Open(path)
	if err != nil {
		t.Fatalf("Open(%s) = %v", path, err)
	}
	return r
}

func TestKeysSurviveReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	r := open(t, path)
	op, made, err := r.EnsureOperator()
	if err != nil || !made {
		t.Fatalf("EnsureOperator() = made %v, %v; want a new key", made, err)
	}
	k, err := r.New("alice")
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if st.Mode().Perm() != 0o600 {
		t.Errorf("mode of the file = %v, want 0600", st.Mode().Perm())
	}

	again := open(t, path)
	if again.Exposed() {
		t.Error("Exposed() of a file with mode 0600 = true")
	}
	if got, ok := again.Lookup(k.ID); !ok || got != k {
		t.Errorf("Lookup after reopening = %#v, %v; want %#v", got, ok, k)
	}
	got, made, err := again.EnsureOperator()
	if err != nil || made || got != op {
		t.Errorf("EnsureOperator() after reopening = %#v, made %v, %v; want the first key", got, made, err)
	}
	for _, disabled := range []bool{true, false} {
		if got, err := again.SetDisabled(k.ID, disabled); err != nil || got.Disabled != disabled || got.Secret != k.Secret {
			t.Errorf("SetDisabled(%v) = %#v, %v", disabled, got, err)
		}
		for _, r := range []*keys.Ring{again, open(t, path)} {
			if got, ok := r.Lookup(k.ID); !ok || got.Disabled != disabled {
				t.Errorf("Lookup after SetDisabled(%v) has %v, %v", disabled, got.Disabled, ok)
			}
		}
	}
	if _, err := again.SetDisabled(op.ID, true); !errors.Is(err, keys.ErrOperator) {
		t.Errorf("SetDisabled(the operator's key) = %v, want ErrOperator", err)
	}
	if _, err := again.SetDisabled("NOBODY", true); !errors.Is(err, keys.ErrNotFound) {
		t.Errorf("SetDisabled(NOBODY) = %v, want ErrNotFound", err)
	}
	if err := again.Remove(k.ID); err != nil {
		t.Fatal(err)
	}
	if _, ok := again.Lookup(k.ID); ok {
		t.Error("Lookup finds a removed key")
	}
	if _, ok := open(t, path).Lookup(k.ID); ok {
		t.Error("a removed key is back after reopening")
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".keys-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files left: %v, %v", left, err)
	}
}

func TestKeysLookAsDocumented(t *testing.T) {
	r := open(t, "")
	id, secret, owner := regexp.MustCompile(`^[A-Z]{20}$`), regexp.MustCompile(`^[A-Za-z0-9]{40}$`), regexp.MustCompile(`^usr-[A-Za-z0-9]{8}$`)
	seen := map[string]bool{}
	for range 50 {
		k, err := r.New("")
		if err != nil {
			t.Fatal(err)
		}
		if !id.MatchString(k.ID) || !secret.MatchString(k.Secret) || !owner.MatchString(k.Owner) || k.Operator {
			t.Fatalf("New = ID %q, a secret of %d characters, owner %q, operator %v", k.ID, len(k.Secret), k.Owner, k.Operator)
		}
		if seen[k.ID] || seen[k.Secret] || seen[k.Owner] {
			t.Fatal("New gave the same value twice")
		}
		seen[k.ID], seen[k.Secret], seen[k.Owner] = true, true, true
	}
	if got := len(r.List()); got != 50 {
		t.Errorf("List() has %d keys, want 50", got)
	}
}

func TestOperatorFromTheEnvironment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	r := open(t, path)
	kept, _, err := r.EnsureOperator()
	if err != nil {
		t.Fatal(err)
	}
	user, err := r.New("alice")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReplaceOperator("OTHER", "other-secret"); err != nil {
		t.Fatal(err)
	}
	if _, ok := r.Lookup(kept.ID); ok {
		t.Error("the kept operator's key is still accepted")
	}
	k, ok := r.Lookup("OTHER")
	if !ok || !k.Operator || k.Owner != keys.OperatorOwner || k.Secret != "other-secret" {
		t.Errorf("Lookup(OTHER) = %#v, %v; want the operator's key", k, ok)
	}
	if _, ok := r.Lookup(user.ID); !ok {
		t.Error("another user's key was lost")
	}
	if _, err := r.New("bob"); err != nil { // writes the file while the replacement stands
		t.Fatal(err)
	}
	again := open(t, path)
	if _, ok := again.Lookup("OTHER"); ok {
		t.Error("the replacement was written to the file")
	}
	if got, ok := again.Operator(); !ok || got != kept {
		t.Errorf("Operator() without the environment = %#v, %v; want the kept key", got, ok)
	}
	if _, err := again.ReplaceOperator(user.ID, "other-secret"); !errors.Is(err, keys.ErrInvalid) {
		t.Errorf("ReplaceOperator with a user's ID = %v, want ErrInvalid", err)
	}
}

func TestRefused(t *testing.T) {
	r := open(t, "")
	op, _, err := r.EnsureOperator()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Remove(op.ID); !errors.Is(err, keys.ErrOperator) {
		t.Errorf("Remove(operator) = %v, want ErrOperator", err)
	}
	if err := r.Remove("NOBODY"); !errors.Is(err, keys.ErrNotFound) {
		t.Errorf("Remove(unknown) = %v, want ErrNotFound", err)
	}
	for _, owner := range []string{keys.OperatorOwner, "a b", "a\n", strings.Repeat("a", 65), "ä"} {
		if _, err := r.New(owner); !errors.Is(err, keys.ErrInvalid) {
			t.Errorf("New(%q) = %v, want ErrInvalid", owner, err)
		}
	}
	for _, pair := range [][2]string{{"ab", "12345678"}, {"a b c", "12345678"}, {"abc", "1234567"}, {"abc", "1234 5678"}, {"abc", "1234567\n"}} {
		if _, err := r.ReplaceOperator(pair[0], pair[1]); !errors.Is(err, keys.ErrInvalid) {
			t.Errorf("ReplaceOperator(%q, …) = %v, want ErrInvalid", pair[0], err)
		}
	}
}

func TestDamagedFilesAreRefused(t *testing.T) {
	const secret = "sesame-sesame-sesame"
	one := `{"id":"AAAA","secret":"` + secret + `","owner":"alice","created":"2026-01-02T03:04:05Z"}`
	operator := `{"id":"%s","secret":"` + secret + `","owner":"operator","operator":true,"created":"2026-01-02T03:04:05Z"}`
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", "not a file of access keys"},
		{"cut", `{"version":1,"keys":[` + one, "not a file of access keys"},
		{"secret is no string", `{"version":1,"keys":[{"id":"AAAA","secret":["` + secret + `"]}]}`, "not a file of access keys"},
		{"newer", `{"version":2,"vault":"` + secret + `"}`, "has format 2, this server knows 1"},
		{"unknown member", `{"version":1,"keys":[],"more":"` + secret + `"}`, "not a file of access keys"},
		{"twice", `{"version":1,"keys":[` + one + `,` + one + `]}`, "twice"},
		{"no owner", `{"version":1,"keys":[{"id":"AAAA","secret":"` + secret + `"}]}`, "wrong owner"},
		{"two operators", `{"version":1,"keys":[` + fmt.Sprintf(operator, "AAAA") + `,` + fmt.Sprintf(operator, "BBBB") + `]}`, "more than one"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "keys.json")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := keys.Open(path)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("Open = %v, want an error with %q", err, tt.want)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}

func TestExposedFileIsNoticed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	if _, _, err := open(t, path).EnsureOperator(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	r := open(t, path)
	if !r.Exposed() {
		t.Error("Exposed() of a file with mode 0644 = false")
	}
	if _, err := r.New("alice"); err != nil {
		t.Fatal(err)
	}
	if open(t, path).Exposed() {
		t.Error("a rewritten file is still exposed")
	}
}

// A key that could not be written must not be handed out: after a restart nobody would know it.
func TestKeyThatWasNotWrittenIsNotAccepted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	r := open(t, filepath.Join(dir, "keys.json"))
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := r.New("alice"); err == nil {
		t.Error("New without a directory succeeded")
	}
	if got := r.List(); len(got) != 0 {
		t.Errorf("List() = %v, want none", got)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	k, err := open(t, "").New("alice")
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("key", "key", k)
	for _, text := range []string{fmt.Sprint(k), fmt.Sprintf("%v %+v %#v %s", k, k, k, k), fmt.Sprintf("%v", []keys.Key{k}), log.String()} {
		if strings.Contains(text, k.Secret) {
			t.Errorf("%q shows the secret", text)
		}
		if !strings.Contains(text, k.ID) {
			t.Errorf("%q does not name the key", text)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	r := open(t, path)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			k, err := r.New(fmt.Sprintf("user-%d", i))
			if err != nil {
				t.Error(err)
				return
			}
			if got, ok := r.Lookup(k.ID); !ok || got != k {
				t.Errorf("Lookup of a new key = %v, %v", got, ok)
			}
			r.List()
			if i%2 == 0 {
				if err := r.Remove(k.ID); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if diff := cmp.Diff(ids(r), ids(open(t, path))); diff != "" || len(ids(r)) != 4 {
		t.Errorf("ring and file differ, or not 4 keys (-ring +file):\n%s", diff)
	}
}

func ids(r *keys.Ring) []string {
	var out []string
	for _, k := range r.List() {
		out = append(out, k.ID)
	}
	return out
}

func BenchmarkLookup(b *testing.B) {
	r, err := keys.Open("")
	if err != nil {
		b.Fatal(err)
	}
	k, err := r.New("alice")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		r.Lookup(k.ID)
	}
}
