// Package logger is the log that programs written for QingStor's SDK v3 set up for the whole process.
//
// The SDK itself writes nothing to it: errors are returned to the caller. It is there for programs that log by it.
package logger

import (
	"context"
	"fmt"
	"log"
	"os"
	"slices"
	"strings"
	"sync"
)

// Logger is what a log has to do.
type Logger interface {
	Debugf(ctx context.Context, format string, v ...interface{})
	Infof(ctx context.Context, format string, v ...interface{})
	Warnf(ctx context.Context, format string, v ...interface{})
	Errorf(ctx context.Context, format string, v ...interface{})
	Fatalf(ctx context.Context, format string, v ...interface{})
	Panicf(ctx context.Context, format string, v ...interface{})
}

// levels are in the order of their weight.
var levels = []string{"debug", "info", "warn", "error", "fatal"}

const (
	debug = iota
	info
	warn
	failure
	fatal
)

// state is of the process, since v3's functions are.
var state = struct {
	mu     sync.RWMutex // guards what follows
	logger Logger
	level  int
}{logger: standard{log.New(os.Stderr, "", log.LstdFlags)}, level: warn}

// SetLogger makes l the log of the process. nil changes nothing. Before the first call it is standard error.
func SetLogger(l Logger) {
	if l == nil {
		return
	}
	state.mu.Lock()
	defer state.mu.Unlock()
	state.logger = l
}

// SetLevel sets below which weight nothing is logged: "debug", "info", "warn", which it is at first, "error" or "fatal". Another text changes nothing.
func SetLevel(level string) {
	i := slices.Index(levels, level)
	if i < 0 {
		return
	}
	state.mu.Lock()
	defer state.mu.Unlock()
	state.level = i
}

// GetLevel returns what SetLevel has set.
func GetLevel() string {
	state.mu.RLock()
	defer state.mu.RUnlock()
	return levels[state.level]
}

// CheckLevel fails if SetLevel does not know level.
func CheckLevel(level string) error {
	if !slices.Contains(levels, level) {
		return fmt.Errorf("log level %q is none of %s", level, strings.Join(levels, ", "))
	}
	return nil
}

// current is the log for messages of that weight, nil if they are not logged.
func current(level int) Logger {
	state.mu.RLock()
	defer state.mu.RUnlock()
	if level < state.level {
		return nil
	}
	return state.logger
}

// Debugf logs a message of weight "debug".
func Debugf(ctx context.Context, format string, v ...interface{}) {
	if l := current(debug); l != nil {
		l.Debugf(ctx, format, v...)
	}
}

// Infof logs a message of weight "info".
func Infof(ctx context.Context, format string, v ...interface{}) {
	if l := current(info); l != nil {
		l.Infof(ctx, format, v...)
	}
}

// Warnf logs a message of weight "warn".
func Warnf(ctx context.Context, format string, v ...interface{}) {
	if l := current(warn); l != nil {
		l.Warnf(ctx, format, v...)
	}
}

// Errorf logs a message of weight "error".
func Errorf(ctx context.Context, format string, v ...interface{}) {
	if l := current(failure); l != nil {
		l.Errorf(ctx, format, v...)
	}
}

// Fatalf logs a message of weight "fatal"; the log at standard error then ends the process with exit code 1.
func Fatalf(ctx context.Context, format string, v ...interface{}) {
	current(fatal).Fatalf(ctx, format, v...)
}

// standard logs to standard error.
type standard struct{ l *log.Logger }

func (s standard) print(level, format string, v []interface{}) {
	s.l.Printf("%s %s", level, fmt.Sprintf(format, v...))
}

func (s standard) Debugf(_ context.Context, format string, v ...interface{}) {
	s.print("DEBUG", format, v)
}
func (s standard) Infof(_ context.Context, format string, v ...interface{}) {
	s.print("INFO", format, v)
}
func (s standard) Warnf(_ context.Context, format string, v ...interface{}) {
	s.print("WARN", format, v)
}
func (s standard) Errorf(_ context.Context, format string, v ...interface{}) {
	s.print("ERROR", format, v)
}
func (s standard) Fatalf(_ context.Context, format string, v ...interface{}) {
	s.print("FATAL", format, v)
	os.Exit(1)
}
func (s standard) Panicf(_ context.Context, format string, v ...interface{}) {
	s.l.Panicf(format, v...)
}
