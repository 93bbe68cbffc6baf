package console_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/console"
	"github.com/vigate/vigate/internal/console/consoletest"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

// messageRow is a property that the tests change.
var messageRow = console.Row{Type: "SessionManager", Name: "message"}

// newWatcher returns a browser at a section with the page "long" and the stream "follow" of what part returns.
func newWatcher(t *testing.T, pace time.Duration, part func() string) (*vimtest.Fixture, *consoletest.Browser) {
	t.Helper()
	s := sample()
	s.Pages["GET sample/long"] = func(x *console.Request) error { return x.Page("home", part(), x.Own()) }
	s.Streams = map[string]console.Page{"GET sample/follow": func(x *console.Request) error {
		return x.Follow(pace, []console.Row{messageRow}, func() ([]byte, error) { return []byte(part()), nil })
	}}
	return consoletest.OpenAdmin(t, s)
}

func logout(f *vimtest.Fixture, b *consoletest.Browser) {
	vimtest.OK(f.As(b.Session(), "SessionManager", "Logout", &types.LogoutRequestType{}))
}

// slow is a client that has got the beginning of an answer when its session ends.
type slow struct {
	http.ResponseWriter
	end func()
	got int
}

func (s *slow) Write(p []byte) (int, error) {
	s.got += len(p)
	if s.end != nil {
		s.end()
		s.end = nil
	}
	return s.ResponseWriter.Write(p)
}

func TestALongAnswerStopsWhenItsSessionEnds(t *testing.T) {
	t.Parallel()
	for path, breaks := range map[string]bool{"/ui/sample/long": true, "/ui/sample/follow": false} {
		f, b := newWatcher(t, time.Millisecond, func() string { return strings.Repeat("long ", 1<<18) })
		r := httptest.NewRequest(http.MethodGet, path, nil)
		b.Prepare(r)
		w := &slow{ResponseWriter: httptest.NewRecorder(), end: func() { logout(f, b) }}
		broken := func() (err any) {
			defer func() { err = recover() }()
			b.ServeHTTP(w, r)
			return nil
		}()
		if w.got == 0 || w.got > 64<<10 {
			t.Errorf("%s: the client has got %d bytes", path, w.got)
		}
		if breaks != (broken == http.ErrAbortHandler) || !breaks && broken != nil {
			t.Errorf("%s: it ends with %v", path, broken)
		}
	}
}

func TestAPageIsNotShownIfItsSessionHasEndedMeanwhile(t *testing.T) {
	t.Parallel()
	var f *vimtest.Fixture
	var b *consoletest.Browser
	f, b = newWatcher(t, time.Millisecond, func() string {
		logout(f, b)
		return "a secret"
	})
	b.Get("/ui/sample/long").LeadsTo("/ui/login?ended=1&next=%2Fui%2Fsample%2Flong").Lacks("a secret")
}

func TestAStreamLooksAtMostOncePerPaceAlsoIfItShowsNothingNew(t *testing.T) {
	t.Parallel()
	const pace = 20 * time.Millisecond
	looks := make(chan time.Time, 1000)
	f, b := newWatcher(t, pace, func() string {
		looks <- time.Now()
		return "always the same"
	})
	ctx, stop := context.WithCancel(t.Context())
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/ui/sample/follow", nil)
	b.Prepare(r)
	over := make(chan struct{})
	go func() {
		defer close(over)
		b.ServeHTTP(httptest.NewRecorder(), r)
	}()
	last := <-looks
	for n, seen := 0, 1; seen < 5; n++ {
		vimtest.OK(f.On("SessionManager", "UpdateServiceMessage",
			&types.UpdateServiceMessageRequestType{Message: fmt.Sprint("message ", n)}))
		for len(looks) > 0 && seen < 5 {
			at := <-looks
			if gap := at.Sub(last); gap < pace {
				t.Errorf("it looks again after %s", gap)
			}
			last, seen = at, seen+1
		}
	}
	stop()
	<-over
}

func TestALineEndInANameBeginsNoLineOfAStream(t *testing.T) {
	t.Parallel()
	const name = "a\r\revent: ended\rdata: b\r\nc"
	var f *vimtest.Fixture
	var b *consoletest.Browser
	f, b = newWatcher(t, time.Millisecond, func() string { return name })
	r := httptest.NewRequest(http.MethodGet, "/ui/sample/follow", nil)
	b.Prepare(r)
	w := httptest.NewRecorder()
	b.ServeHTTP(&slow{ResponseWriter: w, end: func() { logout(f, b) }}, r)
	want := "event: part\ndata: a\ndata: \ndata: event: ended\ndata: data: b\ndata: c\n\nevent: ended\ndata:\n\n"
	if got := w.Body.String(); got != want {
		t.Errorf("it sends %q", got)
	}
}
