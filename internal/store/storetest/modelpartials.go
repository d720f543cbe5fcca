package storetest

import (
	"errors"
	"slices"

	"pgregory.net/rapid"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

// modelNote is what was saved of a fill.
type modelNote struct {
	body     store.BodyID
	revision int // of the mirror
	state    string
	content  []byte
}

// bodyState is what has become of an unfinished body.
type bodyState int

const (
	taken bodyState = iota + 1 // a filler writes it
	free                       // it was left
	ended                      // it is kept or gone
)

// dropNote removes a note and, unless a filler has it, the body that it names.
func (m *model) dropNote(b *modelBucket, key string) {
	if n, ok := b.notes[key]; ok && m.bodies[n.body] == free {
		m.bodies[n.body] = ended
	}
	delete(b.notes, key)
}

// stands reports whether i could still commit.
func (m *model) stands(i *modelIntent) bool {
	_, exists := i.bucket.objects[i.key]
	return m.buckets[i.bucket.Name] == i.bucket && !exists && i.bucket.fills[i.key] == i.number && i.revision == i.bucket.revision
}

func (m *model) save(rt *rapid.T) {
	i := m.intent(rt)
	if i.spool == nil {
		i.spool, i.content = spoolFor(m.t, m.s, nil), nil
		m.bodies[i.spool.ID()] = taken
	}
	more := append(contents.Draw(rt, "more"), 'x')
	_, err := i.spool.WriteAt(more, int64(len(i.content)))
	check(rt, err)
	i.content = append(slices.Clip(i.content), more...)
	state := rapid.StringN(0, 10, -1).Draw(rt, "state")
	err = m.s.SaveFill(bg, i.Intent, i.spool, []byte(state))
	if !m.stands(i) {
		wantErr(rt, "SaveFill of a fill that was ended", err, object.ErrSuperseded)
		return
	}
	check(rt, err)
	b, id := i.bucket, i.spool.ID()
	if n, ok := b.notes[i.key]; ok && n.body != id {
		m.dropNote(b, i.key)
	}
	b.notes[i.key] = modelNote{body: id, revision: b.revision, state: state, content: i.content}
}

func (m *model) leave(rt *rapid.T) {
	i := m.intent(rt)
	if i.spool == nil {
		rt.Skip("no spool")
	}
	check(rt, m.s.LeaveFill(bg, i.Intent, i.spool))
	m.ends(i)
	id := i.spool.ID()
	i.spool = nil
	m.bodies[id] = ended
	if n, ok := i.bucket.notes[i.key]; ok && n.body == id {
		m.bodies[id] = free
	}
}

func (m *model) resume(rt *rapid.T) {
	i := m.intent(rt)
	if i.spool != nil {
		rt.Skip("has a spool")
	}
	sp, state, ok, err := m.s.ResumeFill(bg, i.Intent)
	if !m.stands(i) {
		wantErr(rt, "ResumeFill of a fill that was ended", err, object.ErrSuperseded)
		return
	}
	check(rt, err)
	n, noted := i.bucket.notes[i.key]
	want := noted && n.revision == i.bucket.revision && m.bodies[n.body] == free
	if ok != want {
		rt.Fatalf("ResumeFill = %v, want %v; noted: %v, with revision %d of %d, body %d", ok, want, noted, n.revision, i.bucket.revision, m.bodies[n.body])
	}
	if !want {
		if noted && (n.revision != i.bucket.revision || m.bodies[n.body] == ended) {
			m.dropNote(i.bucket, i.key)
		}
		return
	}
	if sp.ID() != n.body || string(state) != n.state {
		rt.Fatalf("ResumeFill = body %q with state %q, want %q with %q", sp.ID(), state, n.body, n.state)
	}
	i.spool, i.content = sp, n.content
	m.bodies[n.body] = taken
	b, err := sp.Open()
	check(rt, err)
	wantBytes(rt, "a resumed spool", readBody(m.t, b), n.content)
	check(rt, b.Close())
}

func (m *model) recover(rt *rapid.T) {
	check(rt, m.s.Recover(bg))
	for _, b := range m.buckets {
		clear(b.fills)
		for key, n := range b.notes {
			if _, exists := b.objects[key]; exists || n.revision != b.revision || m.bodies[n.body] == ended {
				m.dropNote(b, key)
			}
		}
	}
}

// readNotes compares what is noted, and which bodies are gone.
func (m *model) readNotes(rt *rapid.T) {
	want := 0
	for _, b := range m.buckets {
		want += len(b.notes)
	}
	if got := keys(rt, m.e, "P", "Q"); len(got) != want {
		rt.Fatalf("notes = %q, want %d", got, want)
	}
	for id, state := range m.bodies {
		if state != ended {
			continue
		}
		if _, err := m.e.Reopen(bg, id, 0); !errors.Is(err, object.ErrDamaged) {
			rt.Fatalf("Reopen of a body that has ended = %v, want %v", err, object.ErrDamaged)
		}
	}
}

// discard ends what is open.
func (m *model) discard() {
	for _, i := range m.intents {
		if i.spool != nil {
			if err := i.spool.Discard(); err != nil {
				m.t.Error(err)
			}
		}
	}
	for _, r := range m.readers { // of a history that failed
		if err := r.Body.Close(); err != nil {
			m.t.Error(err)
		}
	}
}
