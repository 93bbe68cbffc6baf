package session

import "sync"

// watch wakes those who wait for changes of sessions: of any, or of one, so that
// a login does not wake everybody who only watches a session of his own.
type watch struct {
	mu  sync.Mutex            // guards what follows
	any chan struct{}         // nil: nobody waits
	one map[Key]chan struct{} // of those that somebody waits for
}

// Changed is closed at the next change of the list of sessions.
func (t *Table) Changed() <-chan struct{} {
	t.watch.mu.Lock()
	defer t.watch.mu.Unlock()
	if t.watch.any == nil {
		t.watch.any = make(chan struct{})
	}
	return t.watch.any
}

// ChangedOne is closed at the next change of the session, or when it ends. What
// it has counted since its record was written is no change.
func (t *Table) ChangedOne(l *Live) <-chan struct{} {
	t.watch.mu.Lock()
	defer t.watch.mu.Unlock()
	if l.done.Load() == ended {
		return ended.c // its end may have been told already
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

// broadcast tells of a change of the session. A session that ended is marked so
// before.
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
