package js

import (
	"bytes"
	"image"
	"image/jpeg"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/cisternhq/cistern/conformance/internal/cistern"
)

// binary is the path of Cistern's command, built once.
var binary string

func TestMain(m *testing.M) {
	os.Exit(cistern.Main(m, func(path string) { binary = path }))
}

// install puts the SDK and the scenarios into a directory of their own, so that nothing is left beside the sources.
func install(t *testing.T) string {
	t.Helper()
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("%v: CI has to run the JavaScript SDK", err)
			}
			t.Skipf("%v: install Node 18 or later to run the JavaScript SDK", err)
		}
	}
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "scenarios.test.js"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	begun := time.Now()
	npm := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	t.Logf("npm ci: %v", time.Since(begun).Round(time.Millisecond))
	return dir
}

// photo is a JPEG of the size that the official scenarios use.
func photo(t *testing.T) []byte {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, 1000, 608))
	for i := range m.Pix {
		m.Pix[i] = byte(i / 97)
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestScenarios(t *testing.T) {
	dir := install(t)
	picture := photo(t)
	source := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := []byte("from the source")
		switch r.URL.Path {
		case "/site/a b/中+.txt":
			w.Header().Set("Content-Type", "text/x-source")
		case "/test.jpg":
			body = picture
		default:
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		// A write that fails is the client's leaving; there is nobody left to tell.
		_, _ = w.Write(body)
	}))
	t.Cleanup(source.Close)
	s := cistern.Start(t, binary, "--domain", "cistern.test")

	begun := time.Now()
	node := exec.CommandContext(t.Context(), "node", "--test", "--test-reporter=spec", "scenarios.test.js")
	node.Dir = dir
	node.Env = []string{
		"HOME=" + dir, // the SDK writes its default settings there
		"PATH=" + os.Getenv("PATH"),
		"QINGSTOR_ACCESS_KEY_ID=" + cistern.KeyID,
		"QINGSTOR_SECRET_ACCESS_KEY=" + cistern.Secret,
		"CISTERN_PORT=" + strconv.Itoa(s.Port),
		"CISTERN_SOURCE=" + source.URL + "/site/",
	}
	var out bytes.Buffer
	node.Stdout, node.Stderr = &out, &out
	err := node.Run()
	t.Logf("the scenarios in JavaScript: %v\n%s", time.Since(begun).Round(time.Millisecond), &out)
	if err != nil {
		t.Errorf("node --test: %v", err)
	}
}
