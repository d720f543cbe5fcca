package image

import (
	"context"
	"errors"
	"image"
	"image/color"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cisternhq/cistern/internal/object"
)

func TestWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{Workers: 2, Wait: time.Minute})
		a, err := p.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		b, err := p.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// The third waits until a place is free.
		got := make(chan error, 1)
		go func() {
			w, err := p.Begin(context.Background())
			if err == nil {
				defer w.End()
			}
			got <- err
		}()
		synctest.Wait()
		select {
		case err := <-got:
			t.Fatalf("the third of two places = %v, want it to wait", err)
		default:
		}
		a.End()
		a.End() // a second time frees no second place
		if err := <-got; err != nil {
			t.Fatalf("the third, after the first ended = %v", err)
		}

		c, err := p.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		_, err = p.Begin(t.Context())
		var retry *object.Retry
		if !errors.Is(err, object.ErrBusy) || !errors.As(err, &retry) || time.Since(begin) != time.Minute {
			t.Errorf("no place for a minute = %v after %v, want busy with a time to retry, after a minute", err, time.Since(begin))
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := p.Begin(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Begin that was called off = %v", err)
		}
		b.End()
		c.End()
		if p.workers.free != 2 || len(p.workers.queue) != 0 {
			t.Errorf("%d places are free and %d wait, want 2 and none", p.workers.free, len(p.workers.queue))
		}
	})
}

func TestGatherIsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{Workers: 1, Gathering: 1, Wait: time.Second})
		leave, err := p.Gather(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		w, err := p.Begin(t.Context()) // who waits for the network takes no place to work
		if err != nil {
			t.Fatal(err)
		}
		w.End()
		if _, err := p.Gather(t.Context()); !errors.Is(err, object.ErrBusy) {
			t.Errorf("a second one = %v, want busy", err)
		}
		leave()
		if leave, err = p.Gather(t.Context()); err != nil {
			t.Errorf("one after the first = %v", err)
		}
		leave()
	})
}

func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{Workers: 10, Memory: 1 << 20, Wait: time.Second})
		large := job(t, "rotate:a_90", fileOf(t, PNG, plain(400, 400, red)))
		if _, err := do(p, large); !errors.Is(err, object.ErrTooLarge) {
			t.Errorf("a picture that needs 1.9 MB of 1 MB = %v, want too large", err)
		}
		small := job(t, "rotate:a_90|save:b_bucket,k_key", fileOf(t, PNG, plain(200, 200, red)))
		busy := make(chan struct{})
		free := make(chan struct{})
		held := small
		held.Save = func(context.Context, Save, Picture) error { close(busy); <-free; return nil }
		done := make(chan error, 2)
		go func() { _, err := do(p, held); done <- err }()
		<-busy
		third := job(t, "rotate:a_90", fileOf(t, PNG, plain(250, 250, red)))
		if _, err := do(p, third); !errors.Is(err, object.ErrBusy) {
			t.Errorf("a second one for which there is no memory now = %v, want busy after the wait", err)
		}
		close(free)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if _, err := do(p, third); err != nil {
			t.Errorf("it, once there is memory = %v", err)
		}
		if p.memory.free != 1<<20 || p.workers.free != 10 {
			t.Errorf("%d bytes and %d places are free in the end, want all", p.memory.free, p.workers.free)
		}
	})
}

// A result that is taken slowly must keep nobody from working, but its memory must count until it is taken.
func TestResultsCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{Workers: 1, Memory: 2 << 20, Wait: time.Second})
		noise := image.NewGray(image.Rect(0, 0, 300, 300))
		for i, seed := 0, uint32(1); i < len(noise.Pix); i++ {
			seed ^= seed << 13
			seed ^= seed >> 17
			seed ^= seed << 5
			noise.Pix[i] = uint8(seed)
		}
		j := job(t, "rotate:a_90|format:t_tiff", fileOf(t, PNG, noise))
		var kept []*Work
		for {
			w, err := p.Begin(t.Context())
			if err != nil {
				t.Fatalf("no place beside %d results that wait = %v", len(kept), err)
			}
			got, err := w.Do(t.Context(), j)
			if errors.Is(err, object.ErrBusy) {
				w.End()
				break
			}
			if err != nil || len(kept) > 20 {
				t.Fatalf("%d results of %d bytes wait, and the next = %v; want it to be too much at some time", len(kept), len(got.Body), err)
			}
			w.Keep(len(got.Body))
			kept = append(kept, w)
		}
		if len(kept) == 0 {
			t.Fatal("not even one result may wait")
		}
		for _, w := range kept {
			w.End()
		}
		if p.memory.free != 2<<20 || p.workers.free != 1 {
			t.Errorf("%d bytes and %d places are free in the end, want all", p.memory.free, p.workers.free)
		}
	})
}

// A progressive JPEG may go over all of its blocks again with every few bytes. The time for that must end, too.
func TestJPEGOfManyScans(t *testing.T) {
	file := []byte("\xff\xd8\xff\xc2\x00\x0b\x08\x1b\x58\x1b\x58\x01\x01\x11\x00") // 7000 x 7000, one component
	file = append(file, "\xff\xc4\x00\x14\x10\x01"...)                             // one code of one bit, for a run of up to 32,767 empty blocks
	file = append(append(file, make([]byte, 15)...), 0xe0)
	scan := []byte("\xff\xda\x00\x08\x01\x01\x00\x01\x3f\x00")
	var bits, n uint32
	for range 24 {
		for bits, n = bits<<15|0x3fff, n+15; n >= 8; n -= 8 {
			b := byte(bits >> (n - 8))
			if scan = append(scan, b); b == 0xff {
				scan = append(scan, 0)
			}
		}
	}
	for len(file) < 2<<20 {
		file = append(file, append(scan, 0)...)
	}
	begin := time.Now()
	_, err := do(New(Options{Timeout: 100 * time.Millisecond}), job(t, "resize:w_5", file))
	if took := time.Since(begin); !errors.Is(err, object.ErrBusy) || took > 10*time.Second {
		t.Errorf("Do = %v after %v, want it to be busy soon after the time allowed", err, took)
	}
}

// Who needs much must not be passed by for ever by those who need little.
func TestGateIsFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{free: 10}
		if err := g.enter(t.Context(), 6); err != nil {
			t.Fatal(err)
		}
		var order []int64
		for _, n := range []int64{8, 3} {
			go func() {
				if err := g.enter(t.Context(), n); err == nil {
					order = append(order, n)
					g.leave(n)
				}
			}()
			synctest.Wait()
		}
		if len(order) != 0 {
			t.Errorf("%v went past who waits for 8", order)
		}
		g.leave(6)
		synctest.Wait()
		if len(order) != 2 || order[0] != 8 {
			t.Errorf("order = %v, want 8 first", order)
		}
		// One that gives up lets those behind it through.
		if err := g.enter(t.Context(), 6); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		gone, through := make(chan error, 1), make(chan error, 1)
		go func() { gone <- g.enter(ctx, 8) }()
		synctest.Wait()
		go func() { through <- g.enter(t.Context(), 2) }()
		synctest.Wait()
		cancel()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Errorf("who gave up = %v", err)
		}
		if err := <-through; err != nil {
			t.Errorf("who was behind = %v", err)
		}
		g.leave(2)
		g.leave(6)
		if g.free != 10 {
			t.Errorf("%d are free in the end, want 10", g.free)
		}
	})
}

func TestStops(t *testing.T) {
	file := fileOf(t, PNG, plain(500, 500, red))
	t.Run("when called off", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w, err := New(Options{}).Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer w.End()
		cancel()
		if _, err := w.Do(ctx, job(t, "resize:w_10", file)); !errors.Is(err, context.Canceled) {
			t.Errorf("Do = %v, want canceled", err)
		}
	})
	t.Run("between operations", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w, err := New(Options{}).Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer w.End()
		j := job(t, "rotate:a_90|save:b_bucket,k_a|rotate:a_90|save:b_bucket,k_b", file)
		saved := 0
		j.Save = func(context.Context, Save, Picture) error { saved++; cancel(); return nil }
		if _, err := w.Do(ctx, j); !errors.Is(err, context.Canceled) || saved != 1 {
			t.Errorf("Do = %v after %d saves, want canceled after one", err, saved)
		}
	})
	t.Run("when its time is over", func(t *testing.T) {
		if _, err := do(New(Options{Timeout: time.Nanosecond}), job(t, "resize:w_10", file)); !errors.Is(err, object.ErrBusy) {
			t.Errorf("Do = %v, want busy", err)
		}
	})
	// Each in its own middle, which a context that ends by itself reaches.
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	img := plain(100, 100, color.White)
	for name, work := range map[string]func() error{
		"decode":      func() error { _, err := decode(ended, PNG, file); return err },
		"decode gif":  func() error { _, err := decodeGIF(ended, fileOf(t, GIF, img)); return err },
		"scaled down": func() error { _, err := scaled(ended, img, image.Pt(5, 5)); return err },
		"scaled up":   func() error { _, err := scaled(ended, img, image.Pt(500, 500)); return err },
		"orient":      func() error { _, err := orient(ended, img, 6); return err },
		"canvas":      func() error { _, err := (&picture{img: img}).canvas(ended); return err },
		"file":        func() error { _, err := (&picture{img: img, format: PNG}).file(ended); return err },
	} {
		if err := work(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s within an ended context = %v, want canceled", name, err)
		}
	}
}

// Kernels must not change what is even, nor shift what is not.
func TestScaled(t *testing.T) {
	for _, size := range []image.Point{{1, 1}, {7, 3}, {50, 31}, {100, 100}, {333, 1}, {1, 333}, {257, 263}} {
		got, err := scaled(t.Context(), plain(100, 100, color.NRGBA{200, 100, 50, 255}), size)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(got.Pix); i += 4 {
			if p := [4]uint8(got.Pix[i:]); p != [4]uint8{200, 100, 50, 255} {
				t.Fatalf("an even picture scaled to %v has a pixel %v", size, p)
			}
		}
	}
	ramp := image.NewGray(image.Rect(0, 0, 256, 1))
	for x := range 256 {
		ramp.Pix[x] = uint8(x)
	}
	for _, n := range []int{128, 64, 20, 16} { // 20 with a block that is not full at the end
		got, err := scaled(t.Context(), ramp, image.Pt(n, 1))
		if err != nil {
			t.Fatal(err)
		}
		step := 256 / float64(n)
		for x := 3; x < n-3; x++ {
			if v, want := float64(got.Pix[4*x]), (float64(x)+0.5)*step-0.5; math.Abs(v-want) > 0.75 {
				t.Errorf("pixel %d of a ramp over %d = %v, want %.2f", x, n, v, want)
			}
		}
	}
	same, err := scaled(t.Context(), quarters(9, 5), image.Pt(9, 5))
	if err != nil {
		t.Fatal(err)
	}
	wantSpots(t, same, 0, spot{0, 0, red}, spot{8, 4, yellow}, spot{4, 0, red}, spot{5, 2, green})
}
