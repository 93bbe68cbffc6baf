package session

import "sync"

// watch wakes callers that wait for changes of any session or of one session. The two are separate,
// so that a login does not wake every caller that only waits for its own session.
type watch struct {
	mu  sync.Mutex            // guards what follows
	any chan struct{}         // nil if nobody waits
	one map[Key]chan struct{} // only sessions that somebody waits for
}

// Changed returns a channel that is closed at the next change of the list of sessions.
func (t *Table) Changed() <-chan struct{} {
	t.watch.mu.Lock()
	defer t.watch.mu.Unlock()
	if t.watch.any == nil {
		t.watch.any = make(chan struct{})
	}
	return t.watch.any
}

// ChangedOne returns a channel that is closed when the session changes or ends. Activity that is
// not in the record yet is not a change.
func (t *Table) ChangedOne(l *Live) <-chan struct{} {
	t.watch.mu.Lock()
	defer t.watch.mu.Unlock()
	if l.done.Load() == ended {
		return ended.c // the broadcast of its end may have happened already
	}
	c := t.watch.one[l.key]
	if c == nil {
		if t.watch.one == nil {
			t.watch.one = map[Key]chan struct{}{}
		}
		c = make(chan struct{})
		t.watch.one[l.key] = c
	}
	return c
}

// broadcast wakes the callers that wait for a change of the session. A session that has ended must
// be marked as ended before.
func (t *Table) broadcast(key Key) {
	t.watch.mu.Lock()
	defer t.watch.mu.Unlock()
	if t.watch.any != nil {
		close(t.watch.any)
		t.watch.any = nil
	}
	if c := t.watch.one[key]; c != nil {
		close(c)
		delete(t.watch.one, key)
	}
}
