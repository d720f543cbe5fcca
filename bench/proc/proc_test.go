package proc

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestTreeCountsItsChildren(t *testing.T) {
	// The inner shell is busy until it has counted; the outer one waits for it and then for the end.
	tree, err := Start(t.TempDir(), nil, "sh", "-c", `sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'; echo counted; exec sleep 60`)
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	defer func() {
		if !stopped {
			tree.Stop(time.Second)
		}
	}()
	deadline := time.After(30 * time.Second)
	for !strings.Contains(tree.Log(), "counted") {
		select {
		case <-deadline:
			t.Fatal("the child did not count within 30 s")
		case <-time.After(5 * time.Millisecond):
		}
	}
	if tree.CPU() == 0 {
		t.Error("CPU() = 0 though a child counted")
	}
	if tree.RSS() == 0 || tree.Peak() < tree.RSS() {
		t.Errorf("RSS() = %d, Peak() = %d; want a peak above 0 and not below what is there", tree.RSS(), tree.Peak())
	}
	tree.Stop(5 * time.Second)
	stopped = true
	if _, err := readStat(tree.PID()); err == nil {
		t.Error("the process is still there after Stop")
	}
}

func TestWindowDoesNotCountOurselves(t *testing.T) {
	w := Watch()
	begin := Self()
	for Self()-begin < 300*time.Millisecond {
	}
	busy, own, _ := sample()
	if got := own - w.own; got < 200*time.Millisecond {
		t.Errorf("own time = %v after 300 ms of work (all %v)", got, busy-w.busy)
	}
	if Descendants(os.Getpid())[0] != os.Getpid() {
		t.Error("Descendants does not begin with the process itself")
	}
}
