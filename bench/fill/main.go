// Command fill generates sessions in the store of a stopped server. They are like sessions from
// logins of many users at many addresses, but nobody knows their tokens. A server for such a store
// needs suitable values of --max-sessions and --idle-timeout.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/serve"
	"github.com/vigate/vigate/internal/session"
)

const (
	maxFill = 10_000_000
	// fillers is the number of sessions that are created concurrently. They share an fsync.
	fillers = 512
)

func main() {
	var f filling
	data := flag.String("data", "", "data directory of the server")
	flag.IntVar(&f.sessions, "sessions", 0, "number of sessions")
	flag.IntVar(&f.users, "users", 1000, "number of users of the sessions")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := f.run(ctx, *data)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "fill:", err)
		os.Exit(1)
	}
}

// filling generates sessions. Each is created by session.Manager.Start, like the session of a
// login, with its event. So measurements give the same results as with sessions from logins.
type filling struct{ sessions, users int }

func (f filling) run(ctx context.Context, data string) (err error) {
	if data == "" {
		return errors.New("--data DIR is needed")
	}
	if f.sessions < 1 || f.users < 1 || f.sessions > maxFill || f.users > maxFill {
		return fmt.Errorf("--sessions and --users must be 1 to %d", maxFill)
	}
	cfg := config.Default()
	cfg.Data, cfg.MaxSessions, cfg.MaxSessionsPerUser = data, maxFill, maxFill
	cfg.LocalTickets = config.LocalTicketsOff
	if cfg.Data, _, err = serve.DataDir(cfg, slog.Default()); err != nil {
		return err
	}
	n, err := serve.Open(ctx, cfg, serve.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	if err := f.start(ctx, n.Sessions); err != nil {
		return fmt.Errorf("start sessions: %w", err)
	}
	return trimAll(ctx, n)
}

func (f filling) start(ctx context.Context, m *session.Manager) error {
	var next atomic.Int64
	var failed error
	var once sync.Once
	var wg sync.WaitGroup
	for range min(fillers, f.sessions) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= f.sessions || ctx.Err() != nil {
					return
				}
				if _, _, err := m.Start(ctx, f.grant(i)); err != nil {
					once.Do(func() { failed = err })
					next.Store(int64(f.sessions))
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(failed, ctx.Err())
}

// The attributes of the sessions. As on a real site, many sessions share some of them.
var (
	fillAgents = []string{
		"govc/0.55.0", "pyvmomi Python/3.13.5 (Linux; 6.12; x86_64)", "vigate-client", "Go-http-client/1.1",
		"Terraform/1.13.1 terraform-provider-vsphere/2.15.0", "curl/8.14.1", "Java/17.0.12", "okhttp/4.12.0",
	}
	fillLocales = []string{"en", "en", "en", "de", "ja"}
)

func (f filling) grant(i int) session.Grant {
	user := fmt.Sprintf("made-up-%06d", i%f.users)
	lang := fillLocales[i%len(fillLocales)]
	return session.Grant{
		Identity: session.Identity{Name: principal.Name{Domain: "vsphere.local", User: user},
			FullName: "Made up " + user},
		Method: "password", Locale: lang, MessageLocale: lang,
		Address: fmt.Sprintf("10.0.%d.%d", i>>8&15, i&255), UserAgent: fillAgents[i%len(fillAgents)],
	}
}

// trimAll trims the event log to the size that a running server keeps.
func trimAll(ctx context.Context, n *serve.Node) error {
	for {
		switch done, err := n.Events.Trim(ctx, n.Mirror, maxFill, false); {
		case err != nil:
			return err
		case done == 0:
			return nil
		}
	}
}
