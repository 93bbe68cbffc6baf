package main

import (
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/serve"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store/storetest"
)

// TestALeakIsFoundAndEndedWithTwoCommands runs the script against a server and its front, which have 5,000
// sessions each. They are started as a login does, but without one: that would hash 10,000 passwords.
func TestALeakIsFoundAndEndedWithTwoCommands(t *testing.T) {
	var late atomic.Int64 // of the server's clock
	now := func() time.Time { return time.Now().Add(time.Duration(late.Load())) }
	records := storetest.NewReopened(now)
	r := behindWith(t, "right", serve.Options{
		Patience: patience, Now: now,
		OpenStore: func(context.Context, config.Config, serve.StoreOptions) (serve.OpenedStore, error) {
			return serve.OpenedStore{Store: records()}, nil
		},
	}, func(c *config.Config) { c.MaxSessionsPerUser = 8000 })
	ages := map[*session.Manager]bool{r.Sessions: true, r.Sessions.On("lab"): true}
	for m := range ages {
		hold(t, m, "svc-backup", "pyvmomi Python/3.11", 3500)
	}
	late.Store(int64(20*time.Minute + time.Second))
	for m := range ages {
		hold(t, m, "svc-ci", "Terraform/1.13", 500)
		hold(t, m, "svc-monitoring", "govc/0.55.0", 500)
		hold(t, m, "svc-storage", "csi-driver/3.3", 500)
	}
	runScript(t, filepath.Join("testdata", "leak", "leak.txtar"), func(env *testscript.Env) error {
		env.Setenv("FRONT", "https://"+r.FrontAddr("lab", "tls").String())
		return setupScript(env, r, "", "")
	})
}

// hold starts sessions of a service.
func hold(t *testing.T, m *session.Manager, user, client string, n int) {
	t.Helper()
	var work sync.WaitGroup
	grants := make(chan session.Grant)
	for range 16 {
		work.Go(func() {
			for g := range grants {
				if _, _, err := m.Start(t.Context(), g); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range n {
		grants <- session.Grant{
			Identity: session.Identity{Name: principal.Name{Domain: "VSPHERE.LOCAL", User: user}},
			Method:   "clone", Locale: "en", MessageLocale: "en", Address: "192.0.2.7", UserAgent: client,
		}
	}
	close(grants)
	work.Wait()
}
