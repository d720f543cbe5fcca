package programs

import (
	"bytes"
	"crypto/md5"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/cisternhq/cistern/conformance/internal/cistern"
)

const written = "github.com/qingstor/qingstor-sdk-go/v4" // the module that the programs import

// modules are the SDKs that each program is built with, and the folder of the module that has it.
var modules = []struct{ name, path, dir string }{
	{"v4", written, ".."},
	{"v3", "github.com/yunify/qingstor-sdk-go/v3", ".."},
	{"ours", "github.com/cisternhq/cistern", "../.."},
}

// binary is the path of the command, built once.
var binary string

func TestMain(m *testing.M) {
	os.Exit(cistern.Main(m, func(path string) { binary = path }))
}

// build makes a program with another SDK. Nothing but the import path is changed.
func build(t *testing.T, program, module, dir string) string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join("testdata", program, "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(source, []byte(`"`+written+`/`)) {
		t.Fatalf("%s does not import %s", program, written)
	}
	temp := t.TempDir()
	root, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	changed := filepath.Join(temp, "main.go")
	if err := os.WriteFile(changed, bytes.ReplaceAll(source, []byte(`"`+written+`/`), []byte(`"`+module+`/`)), 0o600); err != nil {
		t.Fatal(err)
	}
	// The program is a package of the module without a file in its tree.
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(root, "theirs", "main.go"): changed}})
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(temp, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(temp, program)
	cmd := exec.Command("go", "build", "-overlay", list, "-o", path, "./theirs")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s does not compile with %s: %v\n%s", program, module, err, out)
	}
	return path
}

// run runs a program against a fresh server and returns what it prints.
func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	s := cistern.Start(t, binary)
	cmd := exec.Command(program, append([]string{"127.0.0.1", strconv.Itoa(s.Port), cistern.KeyID, cistern.Secret, "their-bucket"}, args...)...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "QINGSTOR_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Stdin = strings.NewReader("hello")
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s%s", err, &out, &stderr)
	}
	return out.String()
}

// A program that was written for one of the genuine SDKs does the same with ours.
func TestPrograms(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, size int) (path, sum string) {
		content := bytes.Repeat([]byte("0123456789abcdef"), size/16)
		path = filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path, fmt.Sprintf("%d bytes, length %d, MD5 %x", size, size, md5.Sum(content))
	}
	small, smallSum := file("small file", 1024)
	large, largeSum := file("large", 9<<20)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/image/cat.txt" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprint(w, "a cat")
	}))
	t.Cleanup(site.Close)

	tests := []struct {
		program string
		args    []string
		want    string
	}{
		{"upload", []string{small, large},
			"up/small file is new: 404\nup/small file: " + smallSum + "\nup/large is new: 404\nup/large: " + largeSum + "\n0 uploads are unfinished\n" +
				"unchanged: 304\n206 bytes 1-3/5 \"ell\" text/plain\n"},
		{"mirror", []string{site.URL + "/image/", "cat.txt"},
			"nothing was sent: SourceSite PutBucketExternalMirrorInput\nset: 200 true\nsource: true\n200 text/plain \"a cat\"\n200 text/plain \"a cat\"\n" +
				"absent: 404 object_not_exists true\nstored: 5\ntaken away: 204\n"},
		{"clean", nil,
			"folder dir/\na.txt 16 34 application/octet-stream\ndir/b (1).txt 24 34 application/octet-stream\ndir/sub/c+d.txt 26 34 application/octet-stream\n" +
				"dir/中文.txt 25 34 application/octet-stream\nz 12 34 application/octet-stream\nlink: 200 text/x-special \"content of dir/b (1).txt\"\n" +
				"delete: 409 bucket_not_empty\n7 deleted, 0 failed\nleft: 0 0\ndelete: 204\nhead: 404\n"},
	}
	for _, tt := range tests {
		for _, m := range modules {
			t.Run(tt.program+" with "+m.name, func(t *testing.T) {
				if got := run(t, build(t, tt.program, m.path, m.dir), tt.args...); got != tt.want {
					t.Errorf("printed:\n%s\nwant:\n%s", got, tt.want)
				}
			})
		}
	}
}
