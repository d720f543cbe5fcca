// Command bench measures Cistern side by side with what a user would take instead.
//
// It builds Cistern from the tree that it is in, starts every server by itself on the loopback, and ends with a table. See docs/benchmarks.md,
// which it writes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/cisternhq/cistern/bench/peer"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "child" {
		exit(child(os.Args[2:]))
	}
	var o options
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	flag.StringVar(&o.only, "only", "", "workloads to run, with commas between; the beginning of a name is enough (default all)")
	flag.StringVar(&o.peers, "peers", "", "peers to run, with commas between (default those of each workload)")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds of each peer")
	flag.Float64Var(&o.scale, "scale", 1, "sizes and times are multiplied by this; figures of another scale than 1 are for trying out only")
	flag.BoolVar(&o.full, "full", false, "also what takes long")
	flag.StringVar(&o.tree, "tree", "..", "Cistern's source tree")
	flag.StringVar(&o.dir, "dir", "", "folder on the disk under test (default a fresh one in the cache)")
	flag.StringVar(&o.cache, "cache", filepath.Join(cache, "cistern-bench"), "folder for installed peers")
	flag.StringVar(&o.markdown, "markdown", "", "file for the table (default standard output only)")
	flag.StringVar(&o.json, "json", "", "file for a line of JSON a round")
	flag.StringVar(&o.profile, "profile", "", "measure Cistern alone, and leave its profiles in this folder")
	flag.StringVar(&o.flags, "flags", "", "flags for cistern serve, with blanks between, to try something out")
	flag.DurationVar(&o.install, "install", 10*time.Minute, "limit for installing a peer; 0 uses what is there")
	list := flag.Bool("list", false, "only list the workloads")
	flag.Parse()
	if flag.NArg() > 0 {
		exit(fmt.Errorf("unexpected argument %q", flag.Arg(0)))
	}
	if *list {
		for _, w := range workloads(o) {
			fmt.Printf("%-18s %s\n", w.Name, w.Title)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	signal.Ignore(syscall.SIGPIPE) // a reader of the output who leaves must not keep the servers from being ended
	exit(run(ctx, o))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// options are those of the command line.
type options struct {
	only, peers    string
	rounds         int
	scale          float64
	full           bool
	tree, dir      string
	cache          string
	markdown, json string
	profile        string
	flags          string
	install        time.Duration
}

// wants says whether to run the workload of that name: it was asked for, or the beginning of its name where nothing has the whole of it.
func (o options) wants(name string, all []workload) bool {
	if o.only == "" {
		return true
	}
	for want := range strings.SplitSeq(o.only, ",") {
		exact := slices.ContainsFunc(all, func(w workload) bool { return w.Name == want })
		if name == want || !exact && strings.HasPrefix(name, want) {
			return true
		}
	}
	return false
}

// find is the peer of a name, as this run takes it.
func (o options) find(name string) (peer.Peer, error) {
	if name == "cistern" && o.profile != "" {
		return peer.Profiled(o.profile), nil
	}
	p, ok := peer.Find(name)
	if !ok {
		return p, errors.New("no peer " + name)
	}
	return p, nil
}
