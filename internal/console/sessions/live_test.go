package sessions_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/console/consoletest"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

var logout = &types.LogoutRequestType{}

// stream is a stream of server-sent events.
type stream struct {
	t     *testing.T
	lines chan string
	code  int
}

// watch opens a stream.
func watch(t *testing.T, b *consoletest.Browser, query string) *stream {
	t.Helper()
	server := httptest.NewServer(b)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/ui/sessions/events"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	b.Prepare(r)
	res, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = res.Body.Close()
		server.Close()
	})
	s := &stream{t: t, lines: make(chan string, 10_000), code: res.StatusCode}
	go func() {
		defer close(s.lines)
		scanner := bufio.NewScanner(res.Body)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			s.lines <- scanner.Text()
		}
	}()
	return s
}

// event returns the next event.
func (s *stream) event() (name, data string) {
	s.t.Helper()
	for line := range s.lines {
		switch key, value, _ := strings.Cut(line, ": "); {
		case key == "event":
			name = value
		case key == "data":
			data += value + "\n"
		case line == "" && name != "":
			return name, data
		}
	}
	s.t.Fatal("the stream has ended")
	return "", ""
}

// until returns the first part that has the text, or lacks it.
func (s *stream) until(text string, has bool) {
	s.t.Helper()
	for {
		name, data := s.event()
		if name != "part" {
			s.t.Fatalf("%s: %s", name, data)
		}
		if strings.Contains(data, text) == has {
			return
		}
	}
}

func TestAWatchedListShowsSessionsComeAndGo(t *testing.T) {
	t.Parallel()
	f, b := newBrowser(t)
	s := watch(t, b, "?q=govc")
	s.until("Sessions: 0 of 3.", true)
	token, _ := client(f, "govc/1", "198.51.100.1")
	s.until("govc/1", true)
	vimtest.OK(f.As(token, "SessionManager", "Logout", logout))
	s.until("govc/1", false)
	other := f.Login("administrator", vimtest.AdminPassword)
	vimtest.OK(f.As(other, "SessionManager", "Logout", logout))
	vimtest.OK(f.As(b.Session(), "SessionManager", "Logout", logout))
	for name := "part"; name == "part"; {
		if name, _ = s.event(); name != "part" && name != "ended" {
			t.Errorf("the last event is %s", name)
		}
	}
	for line := range s.lines {
		t.Errorf("after the end: %s", line)
	}
}

func TestWatchingIsOneCallAndKeepsNoSessionAlive(t *testing.T) {
	t.Parallel()
	f, b := newBrowser(t)
	began := f.Session(b.Session()).Session()
	s := watch(t, b, "")
	s.until("Sessions: 3 of 3.", true)
	f.Pass(20 * time.Minute)
	client(f, "govc/1", "198.51.100.1")
	s.until("govc/1", true)
	now := f.Session(b.Session()).Session()
	if now.CallCount != began.CallCount || !now.LastActiveTime.Equal(began.LastActiveTime) {
		t.Errorf("%d calls at %v, then %d at %v", began.CallCount, began.LastActiveTime, now.CallCount,
			now.LastActiveTime)
	}
	f.Pass(11 * time.Minute)
	client(f, "govc/2", "198.51.100.1")
	for name := "part"; name == "part"; {
		if name, _ = s.event(); name != "part" && name != "ended" {
			t.Errorf("the last event is %s", name)
		}
	}
}

func TestAWatcherThatLosesThePrivilegeSeesNothingMore(t *testing.T) {
	t.Parallel()
	f, b := newBrowser(t)
	f.User("watcher", access.TerminateSession)
	b.Login("watcher", "password of watcher")
	s := watch(t, b, "")
	s.until("govc/1", false)
	vimtest.OK(f.Revoke(f.Admin, "watcher", false))
	for {
		name, data := s.event()
		if name == "part" {
			continue
		}
		if name != "refused" || !strings.Contains(data, "Permission to perform this operation was denied.") {
			t.Errorf("%s: %s", name, data)
		}
		break
	}
	client(f, "govc/1", "198.51.100.1")
	for line := range s.lines {
		t.Errorf("after the end: %s", line)
	}
}

func TestAStreamEndsWhenTheServerShutsDown(t *testing.T) {
	t.Parallel()
	f, b := newBrowser(t)
	s := watch(t, b, "")
	s.until("Sessions: 3 of 3.", true)
	f.Drain()
	for line := range s.lines {
		if strings.HasPrefix(line, "event: ") {
			t.Errorf("at the shutdown: %s", line)
		}
	}
	b.Another().Get("/ui/sessions/events").Is(http.StatusUnauthorized)
}
