package sessions

import (
	"errors"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/console"
)

const (
	// maxKept is how many queries are kept. Others are answered without it.
	maxKept = 64
	// maxAge is how long an answer is kept if the list does not change. Calls of sessions are no change of the list
	// until they are written, which happens every few seconds.
	maxAge = time.Second
)

// cache keeps the results of queries for other callers with the same query. A caller must be allowed to read the
// list.
type cache struct {
	mu      sync.Mutex      // guards what follows
	changed <-chan struct{} // closed when the list has changed since
	made    time.Time
	all     map[query]*entry
}

// entry is the answer to one query.
type entry struct {
	ready chan struct{} // closed when the fields below are set
	found *listing
	err   error

	mu    sync.Mutex // guards parts
	parts map[look][]byte
}

// look is everything that the HTML of an answer depends on, besides the query.
type look struct {
	language, front, own string
	mayEnd, limits       bool
}

// get returns the answer to the query, which find finds.
func (c *cache) get(x *console.Request, q query, find func() (*listing, error)) (*entry, error) {
	e, mine := c.entry(x, q)
	if mine {
		c.fill(q, e, find)
		return e, e.err
	}
	select {
	case <-e.ready:
	case <-x.Context().Done():
		return nil, x.Context().Err()
	}
	if e.err == nil {
		return e, nil
	}
	// The other caller's query failed, perhaps only because that caller has disconnected.
	own := &entry{}
	own.found, own.err = find()
	return own, own.err
}

// errUnfinished is the answer to a query that find did not finish, because it panicked.
var errUnfinished = errors.New("find sessions: it was not finished")

// fill fills an entry, and lets those go on who wait for it, also if find panics.
func (c *cache) fill(q query, e *entry, find func() (*listing, error)) {
	e.err = errUnfinished
	defer func() {
		if e.err != nil {
			c.forget(q, e)
		}
		close(e.ready)
	}()
	e.found, e.err = find()
}

// entry returns the entry of the query. If it is the caller's, the caller must fill it.
func (c *cache) entry(x *console.Request, q query) (e *entry, mine bool) {
	now := x.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if isClosed(c.changed) || now.Sub(c.made) >= maxAge || now.Before(c.made) {
		// The channel comes before the list is read, so that no change is missed.
		c.changed, c.made, c.all = x.Changed(listRow), now, map[query]*entry{}
	}
	if e = c.all[q]; e != nil {
		return e, false
	}
	e = &entry{ready: make(chan struct{})}
	if len(c.all) < maxKept {
		c.all[q] = e
	}
	return e, true
}

// forget removes an answer that failed.
func (c *cache) forget(q query, e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all[q] == e {
		delete(c.all, q)
	}
}

// isClosed reports whether the channel is closed. One that is nil counts as closed.
func isClosed(c <-chan struct{}) bool {
	if c == nil {
		return true
	}
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// maxParts is how many forms of the HTML of one answer are kept.
const maxParts = 32

// html returns the HTML of the answer, which write writes if nobody has needed it before. One that marks the session of
// the browser is for that browser alone. It is not kept, so that it takes no place of those that others share.
func (e *entry) html(l look, write func() ([]byte, error)) ([]byte, error) {
	if l.own != "" {
		return write()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if b, ok := e.parts[l]; ok {
		return b, nil
	}
	b, err := write()
	if err == nil && len(e.parts) < maxParts {
		if e.parts == nil {
			e.parts = map[look][]byte{}
		}
		e.parts[l] = b
	}
	return b, err
}
