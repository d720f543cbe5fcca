package node

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/cisternhq/cistern/internal/fill"
	"github.com/cisternhq/cistern/internal/keys"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/sign"
)

// ownPrefix is where the server's own paths are. No bucket can have the name "-".
const ownPrefix = "/-/"

// isOwnPath reports whether r is for the server itself. Where the Host names a bucket, the path is a key, and "-/a" is one.
func (n *Node) isOwnPath(r *http.Request) bool {
	if !strings.HasPrefix(r.URL.EscapedPath(), ownPrefix) {
		return false
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, d := range n.o.Domains {
		if strings.HasSuffix(host, "."+strings.ToLower(d)) {
			return false
		}
	}
	_, _, err := n.core.Domain(r.Context(), host)
	return err != nil
}

func (n *Node) serveOwn(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", "Cistern")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	err := n.ownPath(w, r)
	if err == nil {
		return
	}
	var a *ownError
	if !errors.As(err, &a) {
		n.log.Error("own path", "path", r.URL.EscapedPath(), "error", err.Error())
		a = &ownError{http.StatusInternalServerError, "internal_error", "The server could not do this; its log says why."}
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // it never fails (crypto/rand)
	requestID := hex.EncodeToString(id[:])
	w.Header().Set("X-Qs-Request-Id", requestID)
	writeJSON(w, r, a.status, map[string]string{
		"code": a.code, "message": a.message, "request_id": requestID, "url": "https://docs.qingcloud.com/qingstor/api/common/error_code.html",
	})
}

// ownError is an answer of the own paths that is no success, in the form of the API's errors.
type ownError struct {
	status        int
	code, message string
}

func (e *ownError) Error() string { return e.message }

func refuse(status int, code, format string, args ...any) error {
	return &ownError{status, code, fmt.Sprintf(format, args...)}
}

func (n *Node) ownPath(w http.ResponseWriter, r *http.Request) error {
	path := r.URL.EscapedPath()
	switch path {
	case "/-/healthz":
		return only(r, func() error { return text(w, r, http.StatusOK, "ok") }, http.MethodGet, http.MethodHead)
	case "/-/readyz":
		return only(r, func() error { return n.ready(w, r) }, http.MethodGet, http.MethodHead)
	case "/-/metrics":
		return only(r, func() error { n.metrics.Handler().ServeHTTP(w, r); return nil }, http.MethodGet, http.MethodHead)
	case "/-/fills":
		return n.operatorOnly(r, func() error {
			return only(r, func() error { return n.fills(w, r) }, http.MethodGet, http.MethodHead)
		})
	case "/-/keys":
		return n.operatorOnly(r, func() error {
			if r.Method == http.MethodPost {
				return n.newKey(w, r)
			}
			return only(r, func() error { return n.listKeys(w, r) }, http.MethodGet, http.MethodHead, http.MethodPost)
		})
	}
	if rest, ok := strings.CutPrefix(path, "/-/keys/"); ok {
		return n.operatorOnly(r, func() error {
			id, err := url.PathUnescape(rest)
			if err != nil {
				return refuse(http.StatusBadRequest, "invalid_argument", "The key's ID is not validly escaped.")
			}
			if r.Method == http.MethodPut {
				return n.changeKey(w, r, id)
			}
			return only(r, func() error { return n.removeKey(w, id) }, http.MethodPut, http.MethodDelete)
		})
	}
	return refuse(http.StatusNotFound, "not_found", "There is nothing under this path.")
}

// only calls f if r has one of the methods.
func only(r *http.Request, f func() error, methods ...string) error {
	for _, m := range methods {
		if r.Method == m {
			return f()
		}
	}
	return refuse(http.StatusMethodNotAllowed, "method_not_allowed", "Use %s here.", strings.Join(methods, " or "))
}

// operatorOnly calls f if r is signed with the operator's key.
func (n *Node) operatorOnly(r *http.Request, f func() error) error {
	denied := refuse(http.StatusForbidden, "permission_denied", "Only the operator may do this: sign the request with the operator's key.")
	covered := sign.Request{Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Header: r.Header}
	c, ok, err := sign.Parse(covered)
	if err != nil || !ok {
		return denied
	}
	k, ok := n.o.Keys.Lookup(c.KeyID)
	if !ok || !k.Operator {
		return denied
	}
	switch err := c.Verify(covered, k.Secret, time.Now()); {
	case errors.Is(err, sign.ErrExpired):
		return refuse(http.StatusForbidden, "request_expired", "The request's date is too far from the server's clock.")
	case err != nil:
		return refuse(http.StatusUnauthorized, "signature_not_matched", "The signature does not match.")
	}
	return f()
}

// ready says whether requests can be served: after the start, before the end, and while the store can be read.
func (n *Node) ready(w http.ResponseWriter, r *http.Request) error {
	n.mu.Lock()
	up := n.serving && !n.closing
	n.mu.Unlock()
	if !up {
		return text(w, r, http.StatusServiceUnavailable, "shutting down")
	}
	if _, err := n.store.Bucket(r.Context(), "readiness"); err != nil && !errors.Is(err, object.ErrNoSuchBucket) {
		n.log.Error("not ready", "error", err.Error())
		return text(w, r, http.StatusServiceUnavailable, "the store cannot be read")
	}
	return text(w, r, http.StatusOK, "ready")
}

func (n *Node) fills(w http.ResponseWriter, r *http.Request) error {
	flights := n.filler.Flights()
	slices.SortFunc(flights, func(a, b fill.Progress) int { return a.Started.Compare(b.Started) })
	now := time.Now()
	list := make([]flying, len(flights))
	for i, p := range flights {
		list[i] = flying{p, now.Sub(p.Started).Seconds()}
	}
	writeJSON(w, r, http.StatusOK, list)
	return nil
}

// flying is a fill as /-/fills describes it, the oldest first.
type flying struct {
	fill.Progress
	// Age is how long it has run, in seconds by the server's clock.
	Age float64 `json:"age"`
}

// shown is a key as /-/keys describes it.
type shown struct {
	ID       string    `json:"id"`
	Secret   string    `json:"secret,omitempty"` // only in the answer to the request that made it
	Owner    string    `json:"owner"`
	Operator bool      `json:"operator,omitempty"`
	Created  time.Time `json:"created,omitzero"`
	Disabled bool      `json:"disabled,omitempty"`
}

func show(k keys.Key) shown {
	return shown{ID: k.ID, Owner: k.Owner, Operator: k.Operator, Created: k.Created, Disabled: k.Disabled}
}

func (n *Node) listKeys(w http.ResponseWriter, r *http.Request) error {
	list := []shown{}
	for _, k := range n.o.Keys.List() {
		list = append(list, show(k))
	}
	writeJSON(w, r, http.StatusOK, list)
	return nil
}

func (n *Node) newKey(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Owner string `json:"owner"`
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4<<10))
	if err != nil || len(body) > 0 && json.Unmarshal(body, &in) != nil {
		return refuse(http.StatusBadRequest, "invalid_argument", "The body is not {\"owner\": \"NAME\"}.")
	}
	k, err := n.o.Keys.New(in.Owner)
	if errors.Is(err, keys.ErrInvalid) {
		return refuse(http.StatusBadRequest, "invalid_argument", "%v.", err)
	}
	if err != nil {
		return err
	}
	n.log.Info("access key made", "access_key", k)
	made := show(k)
	made.Secret = k.Secret
	writeJSON(w, r, http.StatusCreated, made)
	return nil
}

// changeKey disables or enables a key.
func (n *Node) changeKey(w http.ResponseWriter, r *http.Request, id string) error {
	var in struct {
		Disabled *bool `json:"disabled"`
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4<<10))
	if err != nil || json.Unmarshal(body, &in) != nil || in.Disabled == nil {
		return refuse(http.StatusBadRequest, "invalid_argument", "The body is not {\"disabled\": true} or {\"disabled\": false}.")
	}
	k, err := n.o.Keys.SetDisabled(id, *in.Disabled)
	if err != nil {
		return keyError(err)
	}
	n.log.Info("access key changed", "access_key", k, "disabled", k.Disabled)
	writeJSON(w, r, http.StatusOK, show(k))
	return nil
}

func (n *Node) removeKey(w http.ResponseWriter, id string) error {
	if err := n.o.Keys.Remove(id); err != nil {
		return keyError(err)
	}
	n.log.Info("access key removed", "id", id)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func keyError(err error) error {
	switch {
	case errors.Is(err, keys.ErrNotFound):
		return refuse(http.StatusNotFound, "access_key_not_exists", "There is no such access key.")
	case errors.Is(err, keys.ErrOperator):
		return refuse(http.StatusConflict, "operator_key", "The operator's key cannot be removed or disabled.")
	}
	return err
}

func text(w http.ResponseWriter, r *http.Request, status int, line string) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, line+"\n") // a client that went away is no failure
	}
	return nil
}

func writeJSON(w http.ResponseWriter, r *http.Request, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own structs: a bug
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(append(body, '\n'))
	}
}
