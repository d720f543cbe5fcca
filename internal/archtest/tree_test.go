package archtest

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite testdata/linked-modules.txt")

const root = "../.."

func load(t *testing.T) []File {
	t.Helper()
	files, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no Go file found: the rules would hold of nothing")
	}
	return files
}

func goCommand(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir = root
	// The same list everywhere: what is released is linux/amd64 without cgo.
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return out
}

func report(t *testing.T, bad []string) {
	t.Helper()
	for _, b := range bad {
		t.Error(b)
	}
}

func TestImports(t *testing.T)    { report(t, Rules().Check(load(t))) }
func TestComments(t *testing.T)   { report(t, Comments(load(t))) }
func TestGoroutines(t *testing.T) { report(t, Goroutines(load(t))) }
func TestSleeps(t *testing.T)     { report(t, Sleeps(load(t))) }

func TestGoMod(t *testing.T) {
	bad, err := GoMod(goCommand(t, "mod", "edit", "-json"))
	if err != nil {
		t.Fatal(err)
	}
	report(t, bad)
}

// What the binary is made of is a file in the tree, so that its diff is reviewed.
// After a deliberate change: go test ./internal/archtest -run TestLinkedModules -update
func TestLinkedModules(t *testing.T) {
	got, err := Linked(goCommand(t, "list", "-deps", "-json=ImportPath,Standard,Module", "./cmd/cistern"))
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join("testdata", "linked-modules.txt")
	if *update {
		if err := os.WriteFile(name, []byte(strings.Join(got, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	written, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	report(t, LinkedDiff(got, strings.Fields(string(written))))
}
