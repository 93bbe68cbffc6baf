package manager

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/upstream"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

// simulate returns the URL of a simulator with the user svc, whose password is "right".
func simulate(t *testing.T) string {
	t.Helper()
	model := simulator.VPX()
	model.Machine, model.Cluster = 0, 0
	if err := model.Create(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(model.Remove)
	model.Service.Listen = &url.URL{Host: "127.0.0.1:0", User: url.UserPassword("svc", "right")}
	s := model.Service.NewServer()
	t.Cleanup(s.Close)
	u := *s.URL
	u.User = nil
	return u.String()
}

// open returns an upstream with the accounts good and wrong. They have one user, and after a refused
// password the user is not tried again. So the good one comes first.
func open(t *testing.T) *upstream.Upstream {
	t.Helper()
	c := upstream.Config{Name: "lab", URL: simulate(t), MaxSessions: 2, MaxRequests: 4, MaxWaits: 4, WaitTimeout: 30e9}
	for _, a := range [][2]string{{"good", "right"}, {"wrong", "wr0ng"}} {
		file := filepath.Join(t.TempDir(), a[0])
		if err := os.WriteFile(file, []byte(a[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		c.Accounts = append(c.Accounts, upstream.AccountConfig{Name: a[0], Username: "svc", PasswordFile: file})
	}
	u, err := upstream.Open(c, upstream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = u.Drain(t.Context()) })
	return u
}

func serve(t *testing.T, u *upstream.Upstream, o Options) *vimtest.Fixture {
	t.Helper()
	o.Upstreams = func() []*upstream.Upstream { return []*upstream.Upstream{u} }
	f := vimtest.New(t)
	f.Must(Serve(f.API, o))
	return f
}

func TestOperatorsSeeTheUpstreamsAndNoSecret(t *testing.T) {
	u := open(t)
	f := serve(t, u, Options{Clients: func(upstream string) []Client {
		return []Client{{Key: "client-1", Account: "good"}, {"client-2", "good", upstream + "/1"}}
	}})
	a, _ := u.Account("good")
	x, err := u.Pool(a, "").Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer x.Done()
	reader := f.User("reader", access.SystemRead)
	all := vimtest.Get[[]VigateUpstream](f.As(reader, ObjectType, "upstreams", nil))
	if len(all) != 1 || all[0].Name != "lab" || !all[0].Available || all[0].Places != 1 || len(all[0].Session) != 1 ||
		all[0].Session[0].Id != "good/1" || all[0].Session[0].Requests != 1 || all[0].ApiType != "VirtualCenter" {
		t.Errorf("%+v", all)
	}
	for _, s := range all[0].Session {
		if strings.Contains(s.Id+s.Account, x.Session().Key().Reveal()) {
			t.Error("the key is shown")
		}
	}
	admin := f.User("operator", access.SystemRead, access.TerminateSession)
	tied := vimtest.Get[[]VigateUpstreamClient](f.As(admin, ObjectType, "clients", nil))
	if len(tied) != 2 || tied[0] != (VigateUpstreamClient{Upstream: "lab", Key: "client-1", Account: "good"}) ||
		tied[1] != (VigateUpstreamClient{"lab", "client-2", "good", "lab/1"}) {
		t.Errorf("%+v", tied)
	}
}

func TestATestSaysWhatWorksAndWhatNot(t *testing.T) {
	f := serve(t, open(t), Options{})
	admin := f.User("operator", access.SystemRead, access.GlobalSettings)
	found := map[string]VigateUpstreamFinding{}
	answer := f.As(admin, ObjectType, "TestUpstream", &TestUpstreamRequestType{Name: "lab"})
	for _, x := range vimtest.Get[[]VigateUpstreamFinding](answer) {
		found[x.Subject] = x
	}
	if !strings.Contains(found["account good"].Found, "svc") || found["account wrong"].Error == "" ||
		!strings.Contains(found["version"].Found, "VirtualCenter") || found["certificate"].Found == "" {
		t.Errorf("%+v", found)
	}
	vimtest.Fails[types.NotFound](f.As(admin, ObjectType, "TestUpstream", &TestUpstreamRequestType{Name: "other"}))
	f.Needs(access.GlobalSettings, ObjectType, "TestUpstream", &TestUpstreamRequestType{Name: "lab"})
}
