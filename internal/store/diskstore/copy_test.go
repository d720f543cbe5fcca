package diskstore

import (
	"os"
	"path/filepath"
	"testing"
)

// copyDir copies a data directory as it is now.
func copyDir(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}
