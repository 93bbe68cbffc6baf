package sessions_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/console/consoletest"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

var logout = &types.LogoutRequestType{}

// watch opens the stream of the list.
func watch(b *consoletest.Browser, query string) *consoletest.Stream {
	return b.Watch("/ui/sessions/events" + query)
}

func TestAWatchedListShowsSessionsComeAndGo(t *testing.T) {
	t.Parallel()
	f, b := open(t)
	s := watch(b, "?q=govc")
	s.Until("Sessions: 0 of 3.", true)
	token, _ := client(f, "govc/1", "198.51.100.1")
	s.Until("govc/1", true)
	vimtest.OK(f.As(token, "SessionManager", "Logout", logout))
	s.Until("govc/1", false)
	other := f.Login("administrator", vimtest.AdminPassword)
	vimtest.OK(f.As(other, "SessionManager", "Logout", logout))
	vimtest.OK(f.As(b.Session(), "SessionManager", "Logout", logout))
	s.Ends("ended", "")
}

func TestWatchingIsOneCallAndKeepsNoSessionAlive(t *testing.T) {
	t.Parallel()
	f, b := open(t)
	began := f.Session(b.Session()).Session()
	s := watch(b, "")
	s.Until("Sessions: 3 of 3.", true)
	f.Pass(20 * time.Minute)
	client(f, "govc/1", "198.51.100.1")
	s.Until("govc/1", true)
	now := f.Session(b.Session()).Session()
	if now.CallCount != began.CallCount || !now.LastActiveTime.Equal(began.LastActiveTime) {
		t.Errorf("%d calls at %v, then %d at %v", began.CallCount, began.LastActiveTime, now.CallCount,
			now.LastActiveTime)
	}
	f.Pass(11 * time.Minute)
	client(f, "govc/2", "198.51.100.1")
	s.Ends("ended", "")
}

func TestAWatcherThatLosesThePrivilegeSeesNothingMore(t *testing.T) {
	t.Parallel()
	f, b := open(t)
	f.User("watcher", access.TerminateSession)
	b.Login("watcher", "password of watcher")
	s := watch(b, "")
	s.Until("govc/1", false)
	vimtest.OK(f.Revoke(f.Admin, "watcher", false))
	s.Ends("refused", "Permission to perform this operation was denied.")
}

func TestAStreamEndsWhenTheServerShutsDown(t *testing.T) {
	t.Parallel()
	f, b := open(t)
	s := watch(b, "")
	s.Until("Sessions: 3 of 3.", true)
	f.Drain()
	s.Ends("", "")
	b.Another().Get("/ui/sessions/events").Is(http.StatusUnauthorized)
}
