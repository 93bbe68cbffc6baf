package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/serve"
	"github.com/vigate/vigate/internal/serve/storage"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store/storetest"
)

// leaking runs a server and its front. On each, the service svc-backup has made so many sessions and left them for
// 20 minutes, and three other services have some that they use. They are started as a login does, but without
// one: that would hash many passwords.
func leaking(t *testing.T, left, used int) *running {
	t.Helper()
	var late atomic.Int64 // of the server's clock
	now := func() time.Time { return time.Now().Add(time.Duration(late.Load())) }
	records := storetest.NewReopened(now)
	r := behindWith(t, "right", serve.Options{
		Patience: patience, Now: now,
		OpenStore: func(context.Context, config.Config, storage.Options) (storage.Opened, error) {
			return storage.Opened{Store: records()}, nil
		},
	}, func(c *config.Config) { c.MaxSessionsPerUser = 8000 })
	places := []*session.Manager{r.Sessions, r.Sessions.On("lab")}
	for _, m := range places {
		hold(t, m, "svc-backup", "pyvmomi Python/3.11", left)
	}
	late.Store(int64(20*time.Minute + time.Second))
	for _, m := range places {
		hold(t, m, "svc-ci", "Terraform/1.13", used)
		hold(t, m, "svc-monitoring", "govc/0.55.0", used)
		hold(t, m, "svc-storage", "csi-driver/3.3", used)
	}
	return r
}

// runLeak runs a script against the server.
func (r *running) runLeak(t *testing.T, script string, files map[string]string) {
	t.Helper()
	runScript(t, filepath.Join("testdata", "leak", script), func(env *testscript.Env) error {
		env.Setenv("FRONT", "https://"+r.FrontAddr("lab", "tls").String())
		env.Setenv("OWN", r.tls)
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(env.WorkDir, name), []byte(text), 0o600); err != nil {
				return err
			}
		}
		return setupScript(env, r, "", "")
	})
}

func TestALeakIsFoundAndEndedWithTwoCommands(t *testing.T) {
	leaking(t, 3500, 500).runLeak(t, "leak.txtar", nil)
}

func TestThePageOnLeaksWorksAsPrinted(t *testing.T) {
	text, err := os.ReadFile("../../docs/leaks.md")
	if err != nil {
		t.Fatal(err)
	}
	typed := func(name string) (all string) {
		for i, part := range strings.Split(string(text), "```sh "+name+"\n") {
			if commands, _, ok := strings.Cut(part, "```"); ok && i > 0 {
				all += commands
			}
		}
		if !strings.Contains(all, "vigate ") {
			t.Fatalf("docs/leaks.md has no commands %s", name)
		}
		return all
	}
	leaking(t, 30, 1).runLeak(t, "page.txtar", map[string]string{
		"page.sh": typed("leaks"), "limits.sh": typed("leaks-limits"),
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
