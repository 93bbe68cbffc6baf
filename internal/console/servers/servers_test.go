package servers_test

import (
	"context"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/cluster"
	"github.com/vigate/vigate/internal/console"
	"github.com/vigate/vigate/internal/console/consoletest"
	"github.com/vigate/vigate/internal/console/servers"
	"github.com/vigate/vigate/internal/upstream/manager"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

const bad = `<script>alert("x")</script>`

// newBrowser returns a browser at a console whose API says what the arguments are.
func newBrowser(
	t *testing.T, nodes func() []cluster.VigateNode, changed <-chan struct{}, upstreams ...manager.VigateUpstream,
) (*vimtest.Fixture, *consoletest.Browser) {
	t.Helper()
	f := vimtest.New(t)
	f.Must(f.Add(&vim.Object{
		Type: cluster.ObjectType, ID: cluster.ObjectID,
		Properties: []vim.Property{
			vim.NewProperty("nodes", vim.Read,
				func(context.Context, *vim.Call) ([]cluster.VigateNode, error) { return nodes(), nil },
				vim.Watched(func(*vim.Call) <-chan struct{} { return changed })),
		},
	}))
	f.Must(f.Add(&vim.Object{
		Type: manager.ObjectType, ID: manager.ObjectID,
		Methods: []vim.Method{
			vim.NewMethod("TestUpstream", access.GlobalSettings, func(
				_ context.Context, _ *vim.Call, r *manager.TestUpstreamRequestType,
			) ([]manager.VigateUpstreamFinding, error) {
				return []manager.VigateUpstreamFinding{{Subject: "login at " + r.Name, Error: "refused " + bad}}, nil
			}),
		},
		Properties: []vim.Property{
			vim.NewProperty("upstreams", vim.Read, func(context.Context, *vim.Call) ([]manager.VigateUpstream, error) {
				return upstreams, nil
			}),
		},
	}))
	return f, consoletest.New(t, f, console.Options{
		Sections: []console.Section{servers.Nodes(), servers.Upstreams()},
	})
}

func oneNode() []cluster.VigateNode {
	return []cluster.VigateNode{{
		Key: "k", Name: "first " + bad, Self: true, Version: "1.2.3", SessionCount: 4321, LagMillis: new(int64(12)),
		Address: []string{"https://192.0.2.1"}, StartTime: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}, {Key: "l", Name: "second"}}
}

func TestNodesAreShown(t *testing.T) {
	t.Parallel()
	_, b := newBrowser(t, oneNode, nil)
	b.Login("Ann", vimtest.AnnPassword)
	b.Get("/ui/nodes").Is(http.StatusOK, "first "+bad, "this node", "1.2.3", "4\u202f321", "12 ms", "unknown",
		"https://192.0.2.1", "2026-01-02T03:04:05Z").Lacks("<script>alert")
}

func TestThePageOfTheNodesFollows(t *testing.T) {
	t.Parallel()
	changed := make(chan struct{})
	var more atomic.Bool
	_, b := newBrowser(t, func() []cluster.VigateNode {
		if more.Load() {
			return append(oneNode(), cluster.VigateNode{Name: "third"})
		}
		return oneNode()
	}, changed)
	b.Login("Ann", vimtest.AnnPassword)
	w := b.Watch("/ui/nodes/follow")
	w.Until("second", true)
	more.Store(true)
	close(changed)
	w.Until("third", true)
}

func TestUpstreamsAreShownAndTested(t *testing.T) {
	t.Parallel()
	_, none := newBrowser(t, oneNode, nil)
	none.Login("Ann", vimtest.AnnPassword)
	none.Get("/ui/upstreams").Is(http.StatusOK, "No upstream is configured.")
	f, b := newBrowser(t, oneNode, nil, manager.VigateUpstream{
		Name: "lab", Url: "https://vc.example/sdk", Error: "connection refused " + bad, Places: 3,
		MaxSessions: 20, Queued: 7, RefusedCount: 1234,
		Account: []manager.VigateUpstreamAccount{{Name: "main", UserName: "svc@" + bad, SessionCount: 3}},
	})
	b.Login("Ann", vimtest.AnnPassword)
	b.Get("/ui/upstreams").Is(http.StatusOK, "lab", "Not available", "connection refused "+bad, "3 of 20",
		"In the queue: 7", "1\u202f234", "svc@"+bad).Lacks("<script>alert", "/ui/upstreams/test")
	b.Post("/ui/upstreams/test", url.Values{"name": {"lab"}}).Is(http.StatusForbidden, "Permission")
	f.User("keeper", access.GlobalSettings, access.SystemRead)
	b.Login("keeper", "password of keeper")
	b.Get("/ui/upstreams").Is(http.StatusOK, "/ui/upstreams/test")
	b.Post("/ui/upstreams/test", url.Values{"name": {"lab"}}).
		Is(http.StatusOK, "login at lab", "refused "+bad).Lacks("<script>alert")
	b.Post("/ui/upstreams/test", url.Values{"name": {"lab"}, "token": {""}}).Is(http.StatusForbidden, "another session")
}
