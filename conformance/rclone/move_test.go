package rclone

import (
	"testing"
)

func TestMove(t *testing.T) {
	r := start(t)
	files := oddTree()
	delete(files, "large/20 MiB") // the one of 4 MiB and a byte is in two parts
	dir := files.write(t)
	flags := []string{"--qingstor-upload-cutoff", "4M"}

	r.run(t, append(flags, "move", dir, "cistern:move-1/a")...)
	wantTree(t, "what a move leaves", read(t, dir), tree{})
	// From here on the server copies, and rclone deletes.
	r.run(t, "move", "cistern:move-1/a", "cistern:move-2/b/c")
	if got := lines(r.run(t, "lsf", "-R", "cistern:move-1")); got != nil {
		t.Errorf("moved away, the bucket lists %q", got)
	}
	r.run(t, "copyto", "cistern:move-2/b/c/plain.txt", "cistern:move-2/b/c/copy of it+.txt")
	r.run(t, "moveto", "cistern:move-2/b/c/unicode/中文测试.txt", "cistern:move-2/b/c/unicode/另一个名字.txt")
	files["copy of it+.txt"] = files["plain.txt"]
	files["unicode/另一个名字.txt"] = files["unicode/中文测试.txt"]
	delete(files, "unicode/中文测试.txt")

	back := t.TempDir()
	r.run(t, "move", "cistern:move-2/b/c", back)
	wantTree(t, "moved back", read(t, back), files)
	for _, bucket := range []string{"move-1", "move-2"} {
		r.run(t, "rmdir", "cistern:"+bucket)
	}
	if got := lines(r.run(t, "lsf", "cistern:")); got != nil {
		t.Errorf("after rmdir the buckets are %q, want none", got)
	}
}
