package rclone

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"io/fs"
	"maps"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cisternhq/cistern/conformance/internal/cistern"
)

// multipart makes every file from 5 MiB on an upload in parts of 4 MiB, the smallest that the backend takes.
var multipart = []string{"--qingstor-upload-cutoff", "5M", "--qingstor-chunk-size", "4M"}

// remote is a fresh Cistern, seen by rclone as the remote cistern:
type remote struct {
	*cistern.Server
	env []string
}

func start(t *testing.T, args ...string) *remote {
	t.Helper()
	s := cistern.Start(t, command, append([]string{"--domain", "cistern.test"}, args...)...)
	home := t.TempDir()
	r := &remote{Server: s, env: []string{
		asRclone + "=yes",
		"HOME=" + home,
		"PATH=" + os.Getenv("PATH"),
		"TMPDIR=" + home,
		"RCLONE_CONFIG=" + filepath.Join(home, "rclone.conf"),
		"RCLONE_CONFIG_CISTERN_TYPE=qingstor",
		"RCLONE_CONFIG_CISTERN_ACCESS_KEY_ID=" + cistern.KeyID,
		"RCLONE_CONFIG_CISTERN_SECRET_ACCESS_KEY=" + cistern.Secret,
		fmt.Sprintf("RCLONE_CONFIG_CISTERN_ENDPOINT=http://cistern.test:%d", s.Port),
		"RCLONE_CONFIG_CISTERN_ZONE=pek3a",
		// A failure is a finding: rclone would hide the first ones.
		"RCLONE_RETRIES=1",
		"RCLONE_LOW_LEVEL_RETRIES=1",
	}}
	if err := os.WriteFile(filepath.Join(home, "rclone.conf"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

// command is one run of rclone.
func (r *remote) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), self, args...)
	c.Env = r.env
	return c
}

// run runs rclone, wants it to end well, and returns what it printed to its standard output.
func (r *remote) run(t *testing.T, args ...string) string {
	t.Helper()
	c := r.command(t, args...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	begun := time.Now()
	if err := c.Run(); err != nil {
		t.Fatalf("rclone %q: %v\n%s%s", args, err, &out, &errs)
	}
	t.Logf("rclone %s: %v", strings.Join(args, " "), time.Since(begun).Round(time.Millisecond))
	return out.String()
}

// fails runs rclone, wants it to say no, and returns what it said.
func (r *remote) fails(t *testing.T, args ...string) string {
	t.Helper()
	out, err := r.command(t, args...).CombinedOutput()
	if err == nil {
		t.Fatalf("rclone %q ended well, want it to fail\n%s", args, out)
	}
	return string(out)
}

// lines are the sorted lines of a listing.
func lines(text string) []string {
	text = strings.TrimSuffix(text, "\n")
	if text == "" {
		return nil
	}
	return slices.Sorted(slices.Values(strings.Split(text, "\n")))
}

// tree is a directory: slash-separated paths with their bytes.
type tree map[string]string

func (files tree) paths() []string { return slices.Sorted(maps.Keys(files)) }

func (files tree) write(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, body := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func read(t *testing.T, dir string) tree {
	t.Helper()
	files := tree{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := os.ReadFile(filepath.Join(dir, path))
		files[path] = string(body)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// wantTree compares directories without printing what is in the files.
func wantTree(t *testing.T, what string, got, want tree) {
	t.Helper()
	if g, w := got.paths(), want.paths(); !slices.Equal(g, w) {
		t.Errorf("%s: files %q\nwant %q", what, g, w)
		return
	}
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s: %q has %d bytes that differ from the %d wanted", what, name, len(got[name]), len(want[name]))
		}
	}
}

// noise is text that no two files share, so that a mix-up shows.
func noise(seed int64, n int) string {
	b := make([]byte, n)
	rand.New(rand.NewSource(seed)).Read(b)
	return string(b)
}

// oddTree has the names that trouble clients and servers; the last file is uploaded in parts.
func oddTree() tree {
	files := tree{}
	for i, name := range []string{
		"plain.txt",
		"with blanks in it.txt",
		"blank/ at the front",
		"plus+and=equals&and;more",
		"quoted'\"`.txt",
		"question?mark#hash",
		"brackets[1]{2}(3)<4>",
		"star*bar|back\\slash",
		"dollar$at@colon:comma,",
		"!bang ~tilde ^caret",
		"percent/100%",
		"percent/%41", // the copy of a name that reads as an escape works as long as there is no "percent/A"
		"percent/escaped %20 and %2F.txt",
		"unicode/中文测试.txt",
		"unicode/Ελληνικά и кириллица",
		"unicode/ثم نفس سقطت",
		"unicode/👨‍👩‍👧‍👦 👩🏽",
		"unicode/é composed, e\u0301 not",
		"trailing.dot.",
		".hidden/.file",
		"dots../..more",
		"control\ttab",
		"long/" + strings.Repeat("n", 250),
		"deep/" + strings.Repeat("d/", 60) + "file",
		"twins/a",
		"twins/a.b",
	} {
		files[name] = noise(int64(i), 100+i)
	}
	files["empty"] = ""
	files["empty in a directory/empty"] = ""
	files["large/20 MiB"] = noise(1000, 20<<20)
	files["large/one byte over a part"] = noise(1001, 4<<20+1)
	return files
}

// atTheEnd is a name that travels well, but that the backend cannot have copied on the server, see TestCannot.
const atTheEnd = "ends in a blank "

func TestCopyCheckSyncPurge(t *testing.T) {
	r := start(t)
	files := oddTree()
	files[atTheEnd] = "blank"
	dir := files.write(t)

	r.run(t, append(multipart, "copy", dir, "cistern:rclone/top dir")...)
	if got := lines(r.run(t, "lsf", "-R", "--files-only", "cistern:rclone/top dir")); len(got) != len(files) {
		t.Errorf("lsf has %d files, want %d: %q", len(got), len(files), got)
	}
	// Once by size and MD5, which is the ETag, and once byte by byte.
	r.run(t, "check", dir, "cistern:rclone/top dir")
	r.run(t, "check", "--download", dir, "cistern:rclone/top dir")
	if got, want := r.run(t, "hashsum", "md5", "cistern:rclone/top dir/plain.txt"), fmt.Sprintf("%x  plain.txt\n", md5.Sum([]byte(files["plain.txt"]))); got != want {
		t.Errorf("hashsum = %q, want %q", got, want)
	}
	if got := r.run(t, "copy", "-v", "--checksum", "--use-json-log", dir, "cistern:rclone/top dir"); strings.Contains(got, "Copied") {
		t.Errorf("copy of what is there copies:\n%s", got)
	}

	back := t.TempDir()
	r.run(t, "copy", "cistern:rclone/top dir", back)
	wantTree(t, "copied back", read(t, back), files)

	// A changed, a new, a removed file and a removed directory.
	files["plain.txt"] = noise(2000, 100)
	files["unicode/новый"] = noise(2001, 10)
	files["large/20 MiB"] = noise(2002, 9<<20)
	delete(files, "trailing.dot.")
	maps.DeleteFunc(files, func(name, _ string) bool { return strings.HasPrefix(name, "deep/") })
	dir = files.write(t)
	if out := r.fails(t, "check", dir, "cistern:rclone/top dir"); !strings.Contains(out, "differences found") {
		t.Errorf("check of trees that differ says %s", out)
	}
	r.run(t, append(multipart, "sync", "--checksum", dir, "cistern:rclone/top dir")...)
	r.run(t, "check", dir, "cistern:rclone/top dir")
	r.run(t, "sync", "--checksum", "cistern:rclone/top dir", back)
	wantTree(t, "synced back", read(t, back), files)

	var sum int
	for _, body := range files {
		sum += len(body)
	}
	if got, want := r.run(t, "size", "--json", "cistern:rclone"), fmt.Sprintf(`{"count":%d,"bytes":%d,`, len(files), sum); !strings.HasPrefix(got, want) {
		t.Errorf("size = %s, want %s...", got, want)
	}

	if got := lines(r.run(t, "lsf", "cistern:")); !slices.Equal(got, []string{"rclone/"}) {
		t.Errorf("buckets: %q, want rclone/", got)
	}
	if out := r.fails(t, "rmdir", "cistern:rclone"); !strings.Contains(out, "BucketNotEmpty") {
		t.Errorf("rmdir of a bucket with objects says %s", out)
	}
	r.run(t, "cleanup", "cistern:rclone")
	r.run(t, "purge", "cistern:rclone/top dir/unicode")
	if got := lines(r.run(t, "lsf", "-R", "cistern:rclone/top dir/unicode")); got != nil {
		t.Errorf("a purged directory lists %q", got)
	}
	r.run(t, "purge", "cistern:rclone")
	if got := lines(r.run(t, "lsf", "cistern:")); got != nil {
		t.Errorf("after purge the buckets are %q, want none", got)
	}
}

func TestSingleCommands(t *testing.T) {
	r := start(t)
	r.run(t, "mkdir", "cistern:single")
	r.run(t, "mkdir", "cistern:single") // it is there: no error

	// Standard input has no length; rclone keeps the small one in memory and sends the large one in parts.
	for name, body := range map[string]string{"small in": "from standard input\n", "large in": noise(3000, 9<<20), "empty in": ""} {
		c := r.command(t, append(multipart, "rcat", "cistern:single/"+name)...)
		c.Stdin = strings.NewReader(body)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("rcat of %d bytes: %v\n%s", len(body), err, out)
		}
		if got := r.run(t, "cat", "cistern:single/"+name); got != body {
			t.Errorf("cat of %q has %d bytes that differ from the %d that rcat sent", name, len(got), len(body))
		}
	}
	if got, want := r.run(t, "cat", "--offset", "5", "--count", "8", "cistern:single/small in"), "standard"; got != want {
		t.Errorf("cat of a range = %q, want %q", got, want)
	}
	if got, want := r.run(t, "cat", "--tail", "6", "cistern:single/small in"), "input\n"; got != want {
		t.Errorf("cat of the last bytes = %q, want %q", got, want)
	}
	r.run(t, "touch", "cistern:single/touched")
	if got, want := lines(r.run(t, "lsf", "--format", "sp", "cistern:single")), []string{"0;empty in", "0;touched", "20;small in", fmt.Sprintf("%d;large in", 9<<20)}; !slices.Equal(got, want) {
		t.Errorf("lsf = %q, want %q", got, want)
	}
	r.run(t, "deletefile", "cistern:single/touched")
	r.run(t, "delete", "cistern:single")
	r.run(t, "rmdir", "cistern:single")
	if out := r.fails(t, "lsf", "cistern:single"); !strings.Contains(out, "directory not found") {
		t.Errorf("lsf of no bucket says %s", out)
	}
}

// What only the source has: rclone asks with HEAD before it reads a file that it is told the name of.
func TestThroughMirror(t *testing.T) {
	files := tree{
		"pkg/tool 1.0+b.tar": noise(4000, 3<<20),
		"文件/中.txt":           "from the source",
		"文件/%41":             "an escape in its name",
		"empty":              "",
	}
	site := source(t, files)
	r := start(t, "--mirror", "mirrored="+site.URL+"/")

	dir := t.TempDir()
	for name, body := range files {
		// Without the flag rclone looks for the name in a listing, see TestCannot.
		if got := r.run(t, "cat", "--no-traverse", "cistern:mirrored/"+name); got != body {
			t.Errorf("cat %q through the mirror: %d bytes that differ from the %d of the source", name, len(got), len(body))
		}
		r.run(t, "deletefile", "cistern:mirrored/"+name)
		r.run(t, "copyto", "cistern:mirrored/"+name, filepath.Join(dir, name))
	}
	wantTree(t, "copied through the mirror", read(t, dir), files)
	if got := lines(r.run(t, "lsf", "-R", "--files-only", "cistern:mirrored")); !slices.Equal(got, files.paths()) {
		t.Errorf("lsf = %q, want %q", got, files.paths())
	}
	// What nobody has is an empty directory to rclone.
	r.run(t, "copyto", "cistern:mirrored/absent", filepath.Join(dir, "absent"))
	wantTree(t, "copied from where nothing is", read(t, dir), files)
	site.Close()
	r.run(t, "check", "--download", dir, "cistern:mirrored")
}

// source serves files, and says 404 to all else: a directory is no object.
func source(t *testing.T, files tree) *httptest.Server {
	t.Helper()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := files[strings.TrimPrefix(r.URL.Path, "/")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, "", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), strings.NewReader(body))
	}))
	t.Cleanup(site.Close)
	return site
}

// What rclone itself cannot do, whatever the server is. Each is a test, so that the list stays true: when one begins to fail,
// rclone can do it, and the list in ../README.md is due.
func TestCannot(t *testing.T) {
	r := start(t, "--mirror", "mirrored="+source(t, tree{"only/here": "body"}).URL+"/")

	t.Run("cat what only the source has without --no-traverse: it looks for the name in a listing", func(t *testing.T) {
		if got := r.run(t, "cat", "cistern:mirrored/only/here"); got != "" {
			t.Errorf("cat = %q, want nothing", got)
		}
	})
	t.Run("copy on the server what ends in a blank: the end of a header's value is cut off", func(t *testing.T) {
		r.run(t, "copy", tree{atTheEnd: "body"}.write(t), "cistern:cannot")
		r.fails(t, "copyto", "cistern:cannot/"+atTheEnd, "cistern:cannot/copy")
	})
	t.Run("copy on the server what reads as an escape, where there is an object of the name that the escape stands for: it sends the name raw", func(t *testing.T) {
		r.run(t, "copy", tree{"%41": "an escape", "A": "an A"}.write(t), "cistern:cannot")
		if out := r.fails(t, "copyto", "cistern:cannot/%41", "cistern:cannot/copy"); !strings.Contains(out, "sizes differ") {
			t.Errorf("copyto says %s, want that it copied the other one", out)
		}
	})
	t.Run("keep times: the backend has none", func(t *testing.T) {
		dir := tree{"old": "file"}.write(t)
		old := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
		if err := os.Chtimes(filepath.Join(dir, "old"), old, old); err != nil {
			t.Fatal(err)
		}
		r.run(t, "copy", dir, "cistern:cannot")
		if got := r.run(t, "lsf", "--format", "t", "cistern:cannot"); strings.HasPrefix(got, "2001") {
			t.Errorf("lsf = %q, want the time of the upload", got)
		}
	})
	t.Run("an address as the endpoint: it wants a name with a dot", func(t *testing.T) {
		c := r.command(t, "lsf", "cistern:", "--qingstor-endpoint", "http://localhost:"+fmt.Sprint(r.Port))
		if out, err := c.CombinedOutput(); err == nil {
			t.Errorf("lsf with localhost as the endpoint ended well: %s", out)
		}
	})
}
