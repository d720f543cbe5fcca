package main

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/cisternhq/cistern/internal/object"
	qserrors "github.com/cisternhq/cistern/request/errors"
)

// The exit codes, as the help of the root command lists them.
const (
	exitOK = iota
	exitFailed
	exitUsage
	exitPartial
	exitAbsent
)

// coded is an error with an exit code of its own.
type coded struct {
	code int
	err  error
}

func (c *coded) Error() string { return c.err.Error() }

func (c *coded) Unwrap() error { return c.err }

// errReported matches errors that need no line of their own: what they say was printed before.
var errReported = errors.New("reported")

func usage(err error) error { return &coded{code: exitUsage, err: err} }

func usagef(format string, args ...any) error { return usage(fmt.Errorf(format, args...)) }

func exitCode(err error) int {
	var c *coded
	if errors.As(err, &c) {
		return c.code
	}
	if isAbsent(err) {
		return exitAbsent
	}
	return exitFailed
}

// isAbsent reports whether the server said that what was asked for does not exist.
func isAbsent(err error) bool {
	var q *qserrors.QingStorError
	return errors.As(err, &q) && q.StatusCode == http.StatusNotFound || errors.Is(err, object.ErrNoSuchKey)
}

// explain turns a server's answer into one line for people. Other errors stay as they are.
func explain(err error) error {
	var q *qserrors.QingStorError
	if !errors.As(err, &q) {
		return err
	}
	return &answered{q: q}
}

// answered prints a server's error shorter than the SDK does, with what the user needs to ask the operator.
type answered struct{ q *qserrors.QingStorError }

func (a *answered) Error() string {
	text := a.q.Message
	if text == "" {
		text = http.StatusText(a.q.StatusCode)
	}
	out := fmt.Sprintf("%s (%d", text, a.q.StatusCode)
	if a.q.Code != "" {
		out += " " + a.q.Code
	}
	if a.q.RequestID != "" {
		out += ", request " + a.q.RequestID
	}
	return out + ")"
}

func (a *answered) Unwrap() error { return a.q }
