// Package history records what clients saw of sessions and tickets, and judges the record. A
// [Recorder] collects the operations of all clients; [Check] looks for broken invariants and then
// for sessions whose operations are not linearizable. The search for the latter is porcupine's. The
// package knows neither networks nor processes.
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

// The outcomes. An operation that was certainly not done is recorded only if other clients can have
// noticed the attempt.
const (
	OK      Outcome = iota + 1 // done; for Use: the session works
	Refused                    // the session is over, or the ticket is not valid
	Unknown                    // there was no answer: done or not
	Full                       // for Redeem: not done because of a limit; the ticket may have been taken and given back
	PutOff                     // not done; the client should try again: see Recorder.PutOff
)

// Forever is the Return of an operation that may still take effect.
const Forever = math.MaxInt64

// Op is one operation as its client saw it. Times are nanoseconds on one monotonic clock.
type Op struct {
	Client       int
	Node         string // the node that was asked
	Kind         Kind
	Session      string // its key, not its token
	User         string // the user of the session
	Ticket       int    // number of the ticket, for Issue and Redeem
	Made         string // key of the session that Redeem began
	Outcome      Outcome
	Call, Return int64
	// Seen and SeenUser describe the session in the answer to Use.
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

// short returns enough of a key to distinguish sessions.
func short(key string) string { return key[:min(8, len(key))] }

// Format returns one operation a line, ordered by Call.
func Format(ops []Op) string {
	ops = slices.Clone(ops)
	slices.SortStableFunc(ops, func(a, b Op) int { return int(min(1, max(-1, a.Call-b.Call))) })
	var b strings.Builder
	for _, o := range ops {
		fmt.Fprintln(&b, o)
	}
	return b.String()
}

// Recorder collects the operations of concurrent clients.
type Recorder struct {
	began time.Time

	mu     sync.Mutex // guards the fields below
	ops    []Op
	putOff []Op               // operations that were answered with "try again": not done
	deaths map[string][]int64 // by node: the times when its process was certainly dead
}

// NewRecorder returns a recorder whose clock begins at zero.
func NewRecorder() *Recorder { return &Recorder{began: time.Now(), deaths: map[string][]int64{}} }

// Now returns the time on the history's clock.
func (r *Recorder) Now() int64 { return int64(time.Since(r.began)) }

// Add records an operation.
func (r *Recorder) Add(o Op) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, o)
}

// PutOff records an operation that the server says was not done and may be tried again. The history
// is judged without it.
func (r *Recorder) PutOff(o Op) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.putOff = append(r.putOff, o)
}

// Of returns all operations on the session, including those that were put off.
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

// Died records that the node's process is dead. It will not do any more what it was asked before
// and has not done yet.
func (r *Recorder) Died(node string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deaths[node] = append(r.deaths[node], r.Now())
}

// Ops returns a copy of all operations so far. If final is set, a dead process leaves nothing
// behind that acts for it. An operation of unknown outcome then takes effect, if at all, before the
// process died. Otherwise it may still take effect.
func (r *Recorder) Ops(final bool) []Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	ops := slices.Clone(r.ops)
	for i, o := range ops {
		if o.Outcome != Unknown {
			continue
		}
		// The client may have seen the first death after its call failed, or it has noticed an
		// earlier death late. The later death is the safe assumption.
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

// Len returns the number of operations so far.
func (r *Recorder) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ops)
}
