package console

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/console/page"
	"github.com/vigate/vigate/internal/vim"
)

// heartbeat is how often a stream without changes sends something, so that proxies leave it open, and how often it
// looks whether its session has expired.
const heartbeat = 15 * time.Second

// errOver ends a stream without a message.
var errOver = errors.New("the stream is over")

// Follow answers with server-sent events, as a page in Streams. It sends what part returns, and again whenever that
// has changed, at most once per pace. It looks again only if one of the properties on has changed, or the authority
// of somebody; until then it waits, as a wait of the property collector does. part may use Get, Open and Check.
//
// The events are "part", with the HTML; "refused", with the text of the fault that part returned; and "ended", when
// the session has ended. After the last two, the stream ends.
func (x *Request) Follow(pace time.Duration, on []Row, part func() ([]byte, error)) error {
	x.w.Header().Set("Content-Type", "text/event-stream")
	x.w.WriteHeader(http.StatusOK)
	if x.r.Method == http.MethodHead {
		return nil
	}
	f := &follower{Request: x, out: http.NewResponseController(x.w), pace: pace}
	for {
		wake := f.changes(on)
		html, err := f.look(part)
		if err == nil {
			err = f.sendNew(html)
		}
		if err == nil {
			err = f.sleep(wake)
		}
		if err != nil {
			f.farewell(err)
			return nil
		}
	}
}

type follower struct {
	*Request
	out  *http.ResponseController
	pace time.Duration
	last []byte    // that was sent
	done time.Time // when part has returned last
}

// changes returns channels that are closed at the next change.
func (f *follower) changes(on []Row) []<-chan struct{} {
	all := []<-chan struct{}{f.console.API.AuthorityChanged()}
	for _, r := range on {
		if c := f.Changed(r); c != nil {
			all = append(all, c)
		}
	}
	return all
}

// Changed returns a channel that is closed at the next change of a property, or nil if it is not watched.
func (x *Request) Changed(r Row) <-chan struct{} { return x.reading.Changed(x.ref(r.Type), r.Name) }

// look calls part for a call whose work and answer are counted from zero.
func (f *follower) look(part func() ([]byte, error)) ([]byte, error) {
	api := f.console.API
	if err := api.Wanted(f.Context(), &f.call); err != nil {
		return nil, err
	}
	round := &vim.Call{
		Object: f.call.Object, Name: f.call.Name, Peer: f.call.Peer, Release: f.call.Release, Binding: bindingName,
		Session: f.call.Session,
	}
	f.reading = vim.Reading{}
	f.reading.Begin(api, round)
	defer round.Answered()
	defer api.Rest(round)
	html, err := part()
	f.done = time.Now()
	return html, err
}

// sendNew sends the part if it is not the one that was sent last.
func (f *follower) sendNew(html []byte) error {
	if f.last != nil && bytes.Equal(html, f.last) {
		return nil
	}
	f.last = html
	return f.event("part", html)
}

// lineEnds makes a line end out of each that HTML and a stream know. A lone CR in a name would begin a line of the
// stream that the name could choose.
var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// event sends one event.
func (f *follower) event(name string, data []byte) error {
	if bytes.IndexByte(data, '\r') >= 0 {
		data = []byte(lineEnds.Replace(string(data)))
	}
	var b bytes.Buffer
	b.WriteString("event: " + name + "\n")
	for line := range bytes.Lines(data) {
		b.WriteString("data: ")
		b.Write(bytes.TrimSuffix(line, []byte{'\n'}))
		b.WriteByte('\n')
	}
	if len(data) == 0 {
		b.WriteString("data:\n")
	}
	b.WriteByte('\n')
	return f.write(b.Bytes())
}

func (f *follower) write(b []byte) error {
	if f.Request.send(b) != nil {
		return errOver // the client has gone, or must not get the rest: a browser ignores a part of an event
	}
	_ = f.out.Flush() // without a flusher below, everything is sent at the end
	return nil
}

// sleep returns nil when something has changed and the pace allows to look at it.
func (f *follower) sleep(wake []<-chan struct{}) error {
	beat := time.NewTimer(heartbeat)
	defer beat.Stop()
	for woken := false; !woken; {
		var err error
		if woken, err = f.wait(beat.C, wake); err != nil {
			return err
		}
		if !woken {
			beat.Reset(heartbeat)
			if err := f.write([]byte(":\n\n")); err != nil {
				return err
			}
			if err := f.console.API.Wanted(f.Context(), &f.call); err != nil {
				return err
			}
		}
	}
	rest := time.NewTimer(f.pace - time.Since(f.done))
	defer rest.Stop()
	_, err := f.wait(rest.C, nil)
	return err
}

// wait waits until the timer has fired or one of the channels is closed. Then woken is set.
func (f *follower) wait(timer <-chan time.Time, wake []<-chan struct{}) (woken bool, _ error) {
	const client, ended, drain, timed, first = 0, 1, 2, 3, 4
	cases := make([]reflect.SelectCase, first, first+len(wake))
	for i, c := range []any{
		client: f.Context().Done(), ended: f.call.Session.Done(), drain: f.console.API.Draining(), timed: timer,
	} {
		cases[i] = reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(c)}
	}
	for _, c := range wake {
		cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(c)})
	}
	switch which, _, _ := reflect.Select(cases); which {
	case client, drain:
		return false, errOver
	case ended:
		return false, vim.NotAuthenticated(f.call.Object, vim.View)
	case timed:
		return false, nil
	}
	return true, nil
}

// farewell says why the stream ends. A browser opens a stream again that ends without a reason.
func (f *follower) farewell(err error) {
	fault, is := errors.AsType[*vim.Fault](err)
	switch {
	case errors.Is(err, errOver), errors.Is(err, context.Canceled):
	case vim.IsFault[*types.NotAuthenticated](fault):
		_ = f.event("ended", nil)
	case is:
		_ = f.event("refused", []byte(fault.Text(f.lang)))
	default:
		f.console.Logger.Error("a stream of the console failed", "err", err)
	}
}

// Gradual is a page whose parts are sent as they are ready.
type Gradual struct {
	x    *Request
	set  *page.Set
	data *page.Data
	out  *http.ResponseController
	err  error
}

// Gradually begins a page that is sent in parts. The caller must call End.
func (x *Request) Gradually(title string) *Gradual {
	g := &Gradual{x: x, set: x.templates(), data: x.data(title, nil), out: http.NewResponseController(x.w)}
	x.w.WriteHeader(http.StatusOK)
	g.Part("top", nil)
	return g
}

// Part sends a template. After a failure it does nothing: the client has gone.
func (g *Gradual) Part(template string, body any) {
	if g.err != nil {
		return
	}
	var b bytes.Buffer
	g.data.Body = body
	if g.err = g.set.Part(&b, template, g.data); g.err != nil {
		g.x.console.Logger.Error("a part of a page can't be written", "template", template, "err", g.err)
		return
	}
	if _, g.err = io.Copy(g.x.w, &b); g.err == nil {
		_ = g.out.Flush() // without a flusher below, everything is sent at the end
	}
}

// End sends the rest of the page.
func (g *Gradual) End() { g.Part("bottom", nil) }
