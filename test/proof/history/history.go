// Package history holds what clients saw of sessions and tickets, and judges it:
// by the invariants, one by one, and by linearizability, with porcupine.
package history

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// Kind is what an operation asks for.
type Kind uint8

// The kinds.
const (
	Start  Kind = iota + 1 // a session begins
	Use                    // a request with the session's token, or a look at the list of sessions
	End                    // logout, or termination by another
	Issue                  // the session gets a ticket
	Redeem                 // a ticket of the session begins another session
)

func (k Kind) String() string {
	return [...]string{"?", "start", "use", "end", "issue ticket of", "redeem ticket of"}[k]
}

// Outcome is what a client knows of an operation.
type Outcome uint8

// The outcomes. What certainly was not done is not recorded, unless others can
// have noticed that it was tried.
const (
	OK      Outcome = iota + 1 // done; of Use: the session works
	Refused                    // the session is over, or the ticket not good
	Unknown                    // no answer came: done or not
	Full                       // of Redeem: not done for a limit; its ticket may have been taken and given back meanwhile
	PutOff                     // not done, and to be asked for again: see Recorder.PutOff
)

// Forever is the Return of an operation that may yet take effect.
const Forever = math.MaxInt64

// Op is one operation as its client saw it. Times are nanoseconds of one steady
// clock.
type Op struct {
	Client       int
	Node         string // that was asked
	Kind         Kind
	Session      string // key, not token
	User         string // whose session it is
	Ticket       int    // number of the ticket, of Issue and Redeem
	Made         string // key of the session that Redeem began
	Outcome      Outcome
	Call, Return int64
	// Seen and SeenUser are whose session an answer to Use was about.
	Seen, SeenUser string
}

func (o Op) String() string {
	what := o.Kind.String() + " " + short(o.Session)
	if o.Ticket != 0 {
		what = fmt.Sprintf("%s #%d", what, o.Ticket)
	}
	outcome := "unknown"
	switch {
	case o.Kind == Use && o.Outcome == OK:
		outcome = "works"
	case o.Kind == Use && o.Outcome == Refused:
		outcome = "is over"
	case o.Outcome == OK:
		outcome = "ok"
	case o.Outcome == Refused:
		outcome = "refused"
	case o.Outcome == Full:
		outcome = "beyond a limit"
	case o.Outcome == PutOff:
		outcome = "put off"
	}
	if o.Made != "" {
		outcome += ", began " + short(o.Made)
	}
	return fmt.Sprintf("[%s %s] client %-3d %-4s %s: %s", at(o.Call), at(o.Return), o.Client, o.Node, what, outcome)
}

func at(ns int64) string {
	if ns == Forever {
		return "        ∞"
	}
	return fmt.Sprintf("%9.4fs", time.Duration(ns).Seconds())
}

// short is enough of a key to tell sessions apart.
func short(key string) string { return key[:min(8, len(key))] }

// Format is one operation a line, in order of their beginning.
func Format(ops []Op) string {
	ops = slices.Clone(ops)
	slices.SortStableFunc(ops, func(a, b Op) int { return int(min(1, max(-1, a.Call-b.Call))) })
	var b strings.Builder
	for _, o := range ops {
		fmt.Fprintln(&b, o)
	}
	return b.String()
}

// Recorder collects what any number of clients do at the same time.
type Recorder struct {
	began time.Time

	mu     sync.Mutex // guards what follows
	ops    []Op
	putOff []Op               // what was answered with "try again": not done
	deaths map[string][]int64 // of each node, when its process was surely gone
}

// NewRecorder begins the clock.
func NewRecorder() *Recorder { return &Recorder{began: time.Now(), deaths: map[string][]int64{}} }

// Now is the time on the history's clock.
func (r *Recorder) Now() int64 { return int64(time.Since(r.began)) }

// Add records an operation.
func (r *Recorder) Add(o Op) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, o)
}

// PutOff records an operation that the server says was not done, and may be
// asked for again. The history is judged without it.
func (r *Recorder) PutOff(o Op) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.putOff = append(r.putOff, o)
}

// Of is all that is known of the session, what was put off included.
func (r *Recorder) Of(session string) []Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []Op
	for _, o := range slices.Concat(r.ops, r.putOff) {
		if o.Session == session || o.Made == session {
			all = append(all, o)
		}
	}
	return all
}

// Died records that the node's process is gone: what it was asked before and
// has not done by now it will never do.
func (r *Recorder) Died(node string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deaths[node] = append(r.deaths[node], r.Now())
}

// Ops is a copy of all operations so far. An operation of unknown outcome ends
// with the process that was asked, and not before, where final says that a dead
// process leaves nothing behind that still acts for it.
func (r *Recorder) Ops(final bool) []Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	ops := slices.Clone(r.ops)
	for i, o := range ops {
		if o.Outcome != Unknown {
			continue
		}
		// The death that the client saw is the first after its call failed, or
		// one before that the client learned of late. Later is the safe side.
		ops[i].Return = Forever
		if !final {
			continue
		}
		for _, d := range r.deaths[o.Node] {
			if d >= o.Return {
				ops[i].Return = d
				break
			}
		}
	}
	return ops
}

// Len is the number of operations so far.
func (r *Recorder) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ops)
}
