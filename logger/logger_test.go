package logger

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"slices"
	"strings"
	"testing"
)

type recorder struct{ lines []string }

func (r *recorder) note(level, format string, v []interface{}) {
	r.lines = append(r.lines, level+" "+fmt.Sprintf(format, v...))
}
func (r *recorder) Debugf(_ context.Context, f string, v ...interface{}) { r.note("debug", f, v) }
func (r *recorder) Infof(_ context.Context, f string, v ...interface{})  { r.note("info", f, v) }
func (r *recorder) Warnf(_ context.Context, f string, v ...interface{})  { r.note("warn", f, v) }
func (r *recorder) Errorf(_ context.Context, f string, v ...interface{}) { r.note("error", f, v) }
func (r *recorder) Fatalf(_ context.Context, f string, v ...interface{}) { r.note("fatal", f, v) }
func (r *recorder) Panicf(_ context.Context, f string, v ...interface{}) { r.note("panic", f, v) }

// What weighs less than the level is not logged.
func TestLevels(t *testing.T) {
	before := state.logger
	t.Cleanup(func() { SetLogger(before); SetLevel("warn") })
	if GetLevel() != "warn" {
		t.Errorf("level = %s at first, want warn", GetLevel())
	}
	for i, level := range levels {
		r := &recorder{}
		SetLogger(r)
		SetLogger(nil)
		SetLevel(level)
		SetLevel("loud") // changes nothing
		if err := CheckLevel(level); err != nil || GetLevel() != level {
			t.Errorf("level = %s, check %v; want %s", GetLevel(), err, level)
		}
		for _, f := range []func(context.Context, string, ...interface{}){Debugf, Infof, Warnf, Errorf, Fatalf} {
			f(t.Context(), "%d", 7)
		}
		var want []string
		for _, l := range levels[i:] {
			want = append(want, l+" 7")
		}
		if !slices.Equal(r.lines, want) {
			t.Errorf("at level %s: %v, want %v", level, r.lines, want)
		}
	}
	if CheckLevel("loud") == nil {
		t.Error(`CheckLevel("loud") = nil, want an error`)
	}
}

func TestStandard(t *testing.T) {
	var b bytes.Buffer
	s := standard{log.New(&b, "", 0)}
	s.Debugf(t.Context(), "a %d", 1)
	s.Infof(t.Context(), "b")
	s.Warnf(t.Context(), "c")
	s.Errorf(t.Context(), "d")
	func() {
		defer func() {
			if recover() == nil {
				t.Error("Panicf does not panic")
			}
		}()
		s.Panicf(t.Context(), "e")
	}()
	if got, want := strings.TrimSpace(b.String()), "DEBUG a 1\nINFO b\nWARN c\nERROR d\ne"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}
