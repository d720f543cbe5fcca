// Command cistern is the server with the commands that its users need.
//
// It is the wiring: each file is one command. The commands other than serve know the server only through the public SDK.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set when a release is built.
var version = "dev"

func main() { os.Exit(run()) }

// run executes the command line of the process and returns its exit code.
func run() int {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		select {
		case <-signals:
			// The second signal ends the process at once, whatever it is doing. This comes first, so that who sees that the end has begun may
			// send it.
			signal.Stop(signals)
			cancel()
		case <-ctx.Done():
			signal.Stop(signals)
		}
	})
	return report(newRoot(), ctx)
}

func report(root *cobra.Command, ctx context.Context) int {
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	code := exitCode(err)
	if !errors.Is(err, errReported) {
		fmt.Fprintf(os.Stderr, "cistern: %v\n", err)
	}
	if code == exitUsage {
		fmt.Fprintf(os.Stderr, "Run '%s --help' for usage.\n", cmd.CommandPath())
	}
	return code
}
