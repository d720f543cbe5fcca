// Package keys keeps the access keys of a server with their owners.
//
// The keys live in one small file in the data directory, which only the server's own user may read. The package signs nothing
// and decides no rights: it answers whose key an ID is, and what its secret is. It never prints a secret.
package keys

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// OperatorOwner is the owner of the operator's key, whatever key that is. Buckets that the operator made stay the operator's when
// the key is replaced.
const OperatorOwner = "operator"

// The errors of this package. Test with errors.Is.
var (
	// ErrNotFound: there is no key of that ID; list the keys.
	ErrNotFound = errors.New("no such access key")
	// ErrOperator: the operator's key cannot be removed or disabled; replace it instead.
	ErrOperator = errors.New("the operator's key cannot be removed or disabled")
	// ErrInvalid: correct the value that the text names.
	ErrInvalid = errors.New("invalid access key")
)

// Key is an access key. Its printed and logged forms leave the secret out.
type Key struct {
	// ID is public: it travels with each request.
	ID string
	// Secret signs requests.
	Secret string
	// Owner is the user whom buckets made with the key belong to. Keys may share one.
	Owner string
	// Operator marks the key that may do everything.
	Operator bool
	// Created is when the key was made, UTC; zero for a key from the environment.
	Created time.Time
	// Disabled: requests signed with the key are refused, until it is enabled again.
	Disabled bool
}

// String is the key's ID.
func (k Key) String() string { return k.ID }

// GoString leaves the secret out.
func (k Key) GoString() string { return fmt.Sprintf("keys.Key{ID: %q, Owner: %q}", k.ID, k.Owner) }

// LogValue leaves the secret out.
func (k Key) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", k.ID), slog.String("owner", k.Owner))
}

// Ring is the set of keys of one server. It is safe for concurrent use.
type Ring struct {
	path    string // "": nothing is kept
	exposed bool

	// byID is what Lookup reads, without a lock. The map is never changed, only replaced.
	byID atomic.Pointer[map[string]Key]

	mu       sync.Mutex // guards the replacement of byID, the file, and the fields below
	stored   map[string]Key
	operator Key // from the environment; zero when the stored one counts
}

// Open reads the keys of the file at path. A missing file is an empty ring; the first key creates it.
// With path "" the ring lives in memory only.
// It refuses a file of a newer format, and one that it cannot read whole.
func Open(path string) (*Ring, error) {
	r := &Ring{path: path, stored: map[string]Key{}}
	if path != "" {
		stored, exposed, err := read(path)
		if err != nil {
			return nil, fmt.Errorf("read access keys: %w", err)
		}
		r.stored, r.exposed = stored, exposed
	}
	r.publish()
	return r, nil
}

// Exposed reports whether other users of the machine could read the file when it was opened.
func (r *Ring) Exposed() bool { return r.exposed }

// Lookup returns the key of an ID. It takes no lock.
func (r *Ring) Lookup(id string) (Key, bool) {
	k, ok := (*r.byID.Load())[id]
	return k, ok
}

// List returns every key, the oldest first.
func (r *Ring) List() []Key {
	list := slices.Collect(maps.Values(*r.byID.Load()))
	slices.SortFunc(list, func(a, b Key) int {
		return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
	})
	return list
}

// Operator returns the operator's key, and false while there is none.
func (r *Ring) Operator() (Key, bool) {
	for _, k := range *r.byID.Load() {
		if k.Operator {
			return k, true
		}
	}
	return Key{}, false
}

// EnsureOperator returns the operator's key. It makes and keeps a random one if there is none; made says so.
func (r *Ring) EnsureOperator() (k Key, made bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if k, ok := r.Operator(); ok {
		return k, false, nil
	}
	k = newKey(OperatorOwner)
	k.Operator = true
	if err := r.add(k); err != nil {
		return Key{}, false, err
	}
	return k, true, nil
}

// ReplaceOperator makes id and secret the operator's key for as long as the ring lives, instead of the one that is kept, which is
// no longer accepted. Nothing is written.
func (r *Ring) ReplaceOperator(id, secret string) (Key, error) {
	if err := check(id, secret); err != nil {
		return Key{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if k, ok := r.stored[id]; ok && !k.Operator {
		return Key{}, fmt.Errorf("%w: %s is a key of %q already", ErrInvalid, id, k.Owner)
	}
	r.operator = Key{ID: id, Secret: secret, Owner: OperatorOwner, Operator: true}
	r.publish()
	return r.operator, nil
}

// New makes a random key for owner and keeps it. With owner "" it makes a new owner as well.
func (r *Ring) New(owner string) (Key, error) {
	if owner == "" {
		owner = "usr-" + random(8, alphanumeric)
	}
	if owner == OperatorOwner {
		return Key{}, fmt.Errorf("%w: the owner %q has one key only", ErrInvalid, owner)
	}
	if len(owner) > 64 || strings.ContainsFunc(owner, func(c rune) bool { return !strings.ContainsRune(ownerLetters, c) }) {
		return Key{}, fmt.Errorf("%w: an owner is up to 64 letters, digits and \"-_.@\"", ErrInvalid)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	k := newKey(owner)
	if err := r.add(k); err != nil {
		return Key{}, err
	}
	return k, nil
}

// Remove takes the key of an ID away. Requests signed with it are refused from then on; its owner's buckets stay.
func (r *Ring) Remove(id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	k, ok := (*r.byID.Load())[id]
	switch {
	case !ok:
		return fmt.Errorf("%w: %q", ErrNotFound, id)
	case k.Operator:
		return ErrOperator
	}
	next := maps.Clone(r.stored)
	delete(next, id)
	return r.keep(next)
}

// SetDisabled refuses requests signed with the key of an ID from then on, or takes them again. Its owner's buckets and other keys stay as they are.
func (r *Ring) SetDisabled(id string, disabled bool) (Key, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k, ok := (*r.byID.Load())[id]
	switch {
	case !ok:
		return Key{}, fmt.Errorf("%w: %q", ErrNotFound, id)
	case k.Operator:
		return Key{}, ErrOperator
	}
	k.Disabled = disabled
	return k, r.add(k)
}

// add keeps k too, in place of a key of its ID. The caller holds mu.
func (r *Ring) add(k Key) error {
	next := maps.Clone(r.stored)
	next[k.ID] = k
	return r.keep(next)
}

// keep writes next, then makes it what Lookup sees: a key that was never written must not be handed out.
// The caller holds mu; the file is small, and changes are rare.
func (r *Ring) keep(next map[string]Key) error {
	if r.path != "" {
		if err := write(r.path, next); err != nil {
			return fmt.Errorf("write access keys: %w", err)
		}
	}
	r.stored = next
	r.publish()
	return nil
}

// publish makes what is stored visible to Lookup. The caller holds mu, or is alone.
func (r *Ring) publish() {
	seen := maps.Clone(r.stored)
	if r.operator.ID != "" {
		maps.DeleteFunc(seen, func(_ string, k Key) bool { return k.Operator })
		seen[r.operator.ID] = r.operator
	}
	r.byID.Store(&seen)
}

const (
	upper        = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	alphanumeric = upper + "abcdefghijklmnopqrstuvwxyz0123456789"
	ownerLetters = alphanumeric + "-_.@"
)

func newKey(owner string) Key {
	return Key{ID: random(20, upper), Secret: random(40, alphanumeric), Owner: owner, Created: time.Now().UTC().Truncate(time.Second)}
}

// random returns n letters of alphabet, each as likely as the other: bytes that would favour the first letters are drawn again.
func random(n int, alphabet string) string {
	limit := 256 - 256%len(alphabet)
	out := make([]byte, 0, n)
	var buf [64]byte
	for len(out) < n {
		_, _ = rand.Read(buf[:]) // it never fails (crypto/rand)
		for _, b := range buf {
			if int(b) < limit && len(out) < n {
				out = append(out, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return string(out)
}

// check says what is wrong with a key that somebody chose.
func check(id, secret string) error {
	switch {
	case len(id) < 3 || len(id) > 128 || strings.ContainsFunc(id, func(c rune) bool { return !strings.ContainsRune(alphanumeric+"-_.", c) }):
		return fmt.Errorf("%w: an ID is 3 to 128 letters, digits and \"-_.\"", ErrInvalid)
	case len(secret) < 8 || len(secret) > 256:
		return fmt.Errorf("%w: a secret has 8 to 256 characters", ErrInvalid)
	case strings.ContainsFunc(secret, func(c rune) bool { return c <= ' ' || c > '~' }):
		return fmt.Errorf("%w: a secret is printable ASCII without blanks", ErrInvalid)
	}
	return nil
}
