package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/client"
	"github.com/vigate/vigate/internal/cli/command"
)

const (
	// enders is how many calls end sessions at the same time. A server counts them against its own limits, and
	// vCenter serves some hundred at a time.
	enders = 8
	// maxChunk is how many sessions one call ends at most.
	maxChunk = 50
)

// result is what rm did. Its members in JSON are for programs.
type result struct {
	Ended   int       `json:"ended"`
	Gone    int       `json:"alreadyGone"`      // they ended by themselves
	Spared  int       `json:"noLongerSelected"` // after the question
	Left    int       `json:"left"`             // not tried, or not known
	Refused []refused `json:"refused"`

	keys  []string // of those that were ended
	first error    // why the first one was not ended
}

// refused is a session that the server did not end.
type refused struct {
	Key   string `json:"key"`
	Error string `json:"error"`
}

// text says what was done.
func (r *result) text() string {
	text := fmt.Sprintf("%s ended, %s already gone, %s refused", thousands(r.Ended), thousands(r.Gone),
		thousands(len(r.Refused)))
	if r.Spared > 0 {
		text += fmt.Sprintf(", %s no longer selected", thousands(r.Spared))
	}
	if r.Left > 0 {
		text += fmt.Sprintf(", %s left", thousands(r.Left))
	}
	return text
}

// ending is the end of many sessions.
type ending struct {
	j   *job
	all int
	bar *command.Progress

	mu    sync.Mutex // guards tried, done and bar
	tried int
	done  *result
	stop  context.CancelFunc
}

// end ends the sessions, several calls at a time, and adds to done what became of them.
func (j *job) end(ctx context.Context, list []session, done *result) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	e := &ending{j: j, all: len(list), bar: j.Progress(), done: done, stop: stop}
	keys := make([]string, len(list))
	for i, s := range list {
		keys[i] = s.Key
	}
	before := done.Ended + done.Gone
	chunks := make(chan []string)
	var work sync.WaitGroup
	for range enders {
		work.Go(func() {
			for chunk := range chunks {
				e.chunk(ctx, chunk)
			}
		})
	}
	// Few sessions are ended one by one, so that it is known of each what became of it.
	for chunk := range slices.Chunk(keys, min(maxChunk, 1+len(keys)/(8*enders))) {
		if ctx.Err() != nil {
			break
		}
		chunks <- chunk
	}
	close(chunks)
	work.Wait()
	e.bar.Done()
	done.Left = len(keys) - (done.Ended + done.Gone - before) - len(done.Refused)
	if done.Left > 0 && done.first == nil {
		done.first = context.Cause(ctx)
	}
}

// chunk ends some sessions with one call. The server ends them in order, up to the first that it can't end, and
// does not say which that is. Then each gets a call of its own.
func (e *ending) chunk(ctx context.Context, keys []string) {
	if ctx.Err() != nil {
		return
	}
	err := e.j.TerminateSession(ctx, keys...)
	if err == nil || len(keys) == 1 || hopeless(err) {
		e.note(keys, err)
		return
	}
	// The sessions that are gone, up to the first that still exists, were ended by the call. One of them may have
	// ended by itself, and the call stopped there. If several ended by themselves, they count as ended by the call.
	var unknown []string
	known := false
	for _, key := range keys {
		if ctx.Err() != nil {
			return
		}
		one := e.j.TerminateSession(ctx, key)
		if isGone(one) && !known {
			unknown = append(unknown, key)
			continue
		}
		known = true
		e.note([]string{key}, one)
	}
	if last := len(unknown) - 1; last >= 0 && isGone(err) {
		e.note(unknown[last:], err)
		unknown = unknown[:last]
	}
	e.note(unknown, nil)
}

// note counts the sessions of a call that ended so.
func (e *ending) note(keys []string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	d := e.done
	e.tried += len(keys)
	switch {
	case err == nil:
		d.Ended += len(keys)
		d.keys = append(d.keys, keys...)
	case isGone(err):
		d.Gone += len(keys)
	case hopeless(err):
		e.stop()
		fallthrough
	default:
		if d.first == nil {
			d.first = err
		}
		if !hopeless(err) {
			text, _ := e.j.Explain(err)
			for _, key := range keys {
				d.Refused = append(d.Refused, refused{key, text})
			}
		}
	}
	e.bar.Show(fmt.Sprintf("ending sessions: %s of %s", thousands(e.tried), thousands(e.all)))
}

// isGone reports whether the server no longer knew the session.
func isGone(err error) bool { return err != nil && command.IsFault[*types.NotFound](err) }

// hopeless reports whether other sessions could not be ended either: the server does not answer, has no room, or
// does not allow it.
func hopeless(err error) bool {
	_, isStatus := errors.AsType[*client.HTTPError](err)
	_, isFault := errors.AsType[*client.FaultError](err)
	return isStatus || !isFault || command.IsFault[types.BaseNoPermission](err)
}

// thousands writes a number with commas.
func thousands(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// of writes a number of things.
func of(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return thousands(n) + " " + thing
}
