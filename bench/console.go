//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/vigate/vigate/bench/browse"
	"github.com/vigate/vigate/bench/figure"
	"github.com/vigate/vigate/bench/load"
	"github.com/vigate/vigate/bench/wire"
)

// console measures P12: the pages of the console with many sessions, browsers that watch the list, and the commands
// that list and group the same sessions.
func console(ctx context.Context, r *rig) (all []figure.Figure, err error) {
	if err := r.populate(ctx, "console", r.List); err != nil {
		return nil, err
	}
	s, err := r.startVigate(ctx, "console")
	if err != nil {
		return nil, err
	}
	c := &consoleRun{rig: r, server: s, base: "https://" + s.secure, total: r.List}
	if c.admin, err = login(ctx, s); err != nil {
		return nil, err
	}
	c.total++
	if all, err = c.commands(ctx); err != nil {
		return nil, err
	}
	// The server closes a connection that does not send its first request soon.
	if c.calls, err = load.Dial(ctx, s.target()); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.calls.Close()) }()
	c.calls.Keep = true
	if err := c.calls.Deadline(time.Now().Add(time.Hour)); err != nil {
		return nil, err
	}
	for _, measure := range []func(context.Context) ([]figure.Figure, error){c.pages, c.watching} {
		figures, err := measure(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, figures...)
	}
	return all, r.stop(s)
}

// consoleRun is a run of the section: a server with many sessions, and those that the measurement itself has started.
type consoleRun struct {
	*rig
	server *server
	base   string     // URL of the listener with TLS, as browsers use it
	calls  *load.Conn // for calls of the API
	admin  string     // token of an administrator
	total  int        // live sessions
}

// of describes the sessions.
func (c *consoleRun) of() string { return figure.Number(float64(c.List)) + " sessions" }

// clone starts a session of the administrator and returns its token. No password is hashed for it.
func (c *consoleRun) clone() (string, error) {
	y := jsonCycle(c.admin)
	a, err := c.calls.Do(y.acquire)
	if err != nil {
		return "", fmt.Errorf("acquire ticket: %w", err)
	}
	ticket, err := y.ticket(a.Body)
	if err != nil {
		return "", fmt.Errorf("acquire ticket: status %d: %w", a.Status, err)
	}
	if a, err = c.calls.Do(y.clone(ticket)); err != nil {
		return "", fmt.Errorf("clone session: %w", err)
	}
	if a.Status != http.StatusOK || len(a.Token) == 0 {
		return "", fmt.Errorf("clone session: status %d: %.200s", a.Status, a.Body)
	}
	c.total++
	return string(a.Token), nil
}

// clones starts n sessions.
func (c *consoleRun) clones(n int) ([]string, error) {
	tokens := make([]string, n)
	for i := range tokens {
		var err error
		if tokens[i], err = c.clone(); err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

// logout ends a session.
func (c *consoleRun) logout(token string) error {
	a, err := c.calls.Do(wire.Post(wire.SessionManager+"Logout", token, ""))
	if err == nil && a.Status/100 != 2 {
		err = fmt.Errorf("log out: status %d: %.200s", a.Status, a.Body)
	}
	if err != nil {
		return fmt.Errorf("end a session: %w", err)
	}
	c.total--
	return nil
}

// commands measures the command line, from the start of the process to its end.
func (c *consoleRun) commands(ctx context.Context) ([]figure.Figure, error) {
	// The session of the command is one more.
	counts := func(out string) bool {
		return strings.HasPrefix(out, figure.Number(float64(c.total+1))+" sessions of ")
	}
	lists := func(out string) bool { return strings.Count(out, "\n") == c.total+2 } // with the head of the table
	var all []figure.Figure
	for _, k := range []struct {
		what, line string
		complete   func(out string) bool
	}{
		{"session top, by user", "session top --once --by user --limit 0 --no-keep", counts},
		{"session ls, sorted by user and idle time", "session ls --sort user,idle --no-keep", lists},
	} {
		var took figure.Series
		for range c.Rounds {
			began := time.Now()
			out, err := c.command(ctx, k.line)
			if err != nil {
				return nil, err
			}
			took = append(took, time.Since(began).Seconds())
			if !k.complete(out) {
				return nil, fmt.Errorf("vigate %s does not tell of all %d sessions: %.300s", k.line, c.total+1, out)
			}
		}
		all = append(all, figure.Figure{ID: "P12", What: k.what + ", of " + c.of(), Unit: "s", Vigate: took,
			Goal: figure.AtMost(3), Note: "with a login and a logout"})
	}
	return all, nil
}

// command runs a command of vigate as the administrator, and returns its output.
func (c *consoleRun) command(ctx context.Context, line string) (string, error) {
	var out, problems bytes.Buffer
	cmd := exec.CommandContext(ctx, c.program(vigateProgram.name), strings.Fields(line)...)
	cmd.Env = append(os.Environ(), "VIGATE_URL=http://"+c.server.plain, "VIGATE_USERNAME="+adminUser,
		"VIGATE_PASSWORD="+adminPassword, "XDG_STATE_HOME="+c.data("state"))
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("run vigate %s: %w: %.300s", line, err, &problems)
	}
	return out.String(), nil
}

// view is a page that is measured.
type view struct {
	what, path string
	found      func() int // how many sessions it must find
}

// pages measures how long a browser waits for pages of the list. Before each, the list has changed, so that the server
// can't answer with what it has found for another one.
func (c *consoleRun) pages(ctx context.Context) ([]figure.Figure, error) {
	b, err := browse.New(c.base)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	if err := b.Open(ctx); err != nil {
		return nil, err
	}
	if _, err := b.Login(ctx, adminUser, adminPassword); err != nil {
		return nil, err
	}
	c.total++
	all := func() int { return c.total }
	var figures []figure.Figure
	var slowest float64
	for _, v := range []view{
		{"first page", "/ui/", all},
		{"sorted by idle time", "/ui/sessions?sort=-idle", all},
		{"found by a text, sorted by calls", "/ui/sessions?q=terraform&sort=-calls", c.agents},
		{"in groups by user", "/ui/sessions?group=user&sort=user", all},
		{"in groups by client, page 20 of 500 rows", "/ui/sessions?group=client&rows=500&page=20", all},
	} {
		var took figure.Series
		for range c.Pages {
			if _, err := c.clone(); err != nil {
				return nil, err
			}
			p, err := b.Get(ctx, v.path)
			if err == nil {
				err = c.complete(&p, v.found())
			}
			if err != nil {
				return nil, fmt.Errorf("get the page %s: %w", v.what, err)
			}
			took = append(took, float64(p.Took.Microseconds())/1000)
		}
		slowest = max(slowest, slices.Max(took))
		figures = append(figures, c.page(v.what, took))
	}
	took, err := c.loginPages(ctx)
	if err != nil {
		return nil, err
	}
	slowest = max(slowest, slices.Max(took))
	return append(figures, c.page("log in to the first page", took), figure.Figure{ID: "P12",
		What: "the slowest of these pages", Unit: "ms", Vigate: figure.Series{slowest}, Goal: figure.AtMost(300)}), nil
}

func (c *consoleRun) page(what string, took figure.Series) figure.Figure {
	return figure.Figure{ID: "P12", What: "console of " + c.of() + ", " + what + ", p50", Unit: "ms", Vigate: took,
		Goal: figure.AtMost(300), Note: "max " + figure.Number(slices.Max(took))}
}

// agents returns how many of the generated sessions have a client whose name contains "terraform": one of 8.
func (c *consoleRun) agents() int { return (c.List + 3) / 8 }

// complete checks that a page has searched all sessions.
func (c *consoleRun) complete(p *browse.Page, found int) error {
	n, of, err := p.Found()
	if err == nil && (n != found || of != c.total) {
		err = fmt.Errorf("%d of %d sessions are found, want %d of %d", n, of, found, c.total)
	}
	return err
}

// loginPages measures logins, from the form that is sent to the list. They are logins by password.
func (c *consoleRun) loginPages(ctx context.Context) (took figure.Series, err error) {
	for range c.Pages {
		b, err := browse.New(c.base)
		if err != nil {
			return nil, err
		}
		if err := b.Open(ctx); err != nil {
			return nil, err
		}
		p, err := b.Login(ctx, adminUser, adminPassword)
		b.Close()
		if err != nil {
			return nil, err
		}
		c.total++
		if err := c.complete(&p, c.total); err != nil {
			return nil, err
		}
		took = append(took, float64(p.Took.Microseconds())/1000)
	}
	return took, nil
}
