package serve

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/upstream"
)

// reloadEvery is how often the configuration file is looked at.
const reloadEvery = 5 * time.Second

// reload takes over the accounts and limits of the upstreams when the configuration changes. No session
// ends by that.
type reload struct {
	node   *Node
	reread func() ([]upstream.Config, error)
	hangup <-chan os.Signal
	file   string

	mu   *sync.Mutex // held during a reload; guards seen
	seen stamp
}

// stamp identifies a state of a file.
type stamp struct {
	changed time.Time
	size    int64
}

func newReload(n *Node, o Options) reload {
	r := reload{node: n, reread: o.Reread, hangup: o.Hangup, file: o.File, mu: new(sync.Mutex)}
	r.seen, _ = stampOf(o.File)
	return r
}

// stampOf returns the zero stamp and false if the file can't be looked at.
func stampOf(file string) (stamp, bool) {
	if file == "" {
		return stamp{}, false
	}
	info, err := os.Stat(file)
	if err != nil {
		return stamp{}, false
	}
	return stamp{info.ModTime(), info.Size()}, true
}

// look reloads if the file has changed since the last look. A file that is being replaced may be missing
// for a moment.
func (r *reload) look(context.Context) error {
	if r.reread == nil {
		return nil
	}
	r.mu.Lock()
	now, ok := stampOf(r.file)
	changed := ok && now != r.seen
	if changed {
		r.seen = now
	}
	r.mu.Unlock()
	if changed {
		r.now("the file has changed")
	}
	return nil
}

// follow reloads whenever the program gets a signal, until ctx ends.
func (r *reload) follow(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.hangup:
			r.now("a signal")
		}
	}
}

// now reloads. What can't be taken over is logged, and what was in force before stays in force.
func (r *reload) now(why string) {
	if r.reread == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	all, err := r.reread()
	if err == nil {
		err = r.node.takeOver(all)
	}
	if err != nil {
		r.node.logger.Error("the configuration was not taken over", "because", why, "err", err)
		return
	}
	r.node.logger.Info("accounts and limits of the upstreams were read again", "because", why)
}

// takeOver sets the accounts and limits of the upstreams. The error joins the changes that need a restart and those
// that can't be used; all others are in force.
func (n *Node) takeOver(all []upstream.Config) error {
	var errs []error
	for _, cfg := range all {
		i := slices.IndexFunc(n.fronts, func(f *frontServer) bool { return f.config.Name == cfg.Name })
		if i < 0 {
			errs = append(errs, fmt.Errorf("upstream %s is new: it needs a restart", cfg.Name))
			continue
		}
		f := n.fronts[i]
		if key := fixed(f.config, cfg); key != "" {
			errs = append(errs, fmt.Errorf("upstream %s: a change of %s needs a restart", cfg.Name, key))
			continue
		}
		if err := f.upstream.Reload(cfg); err != nil {
			errs = append(errs, err)
			continue
		}
		f.front.Reload(cfg)
	}
	for _, f := range n.fronts {
		if !slices.ContainsFunc(all, func(c upstream.Config) bool { return c.Name == f.config.Name }) {
			errs = append(errs, fmt.Errorf("upstream %s was removed: that needs a restart", f.config.Name))
		}
	}
	return errors.Join(errs...)
}

// sameDispenser reports whether two dispensers do the same, wherever they are in the file.
func sameDispenser(a, b upstream.Dispense) bool {
	return a.Account == b.Account && a.Path == b.Path && slices.Equal(a.Subjects, b.Subjects) &&
		a.TokensFile == b.TokensFile && a.PerMinute == b.PerMinute && a.Target == b.Target
}

// fixed returns the first key that differs and can't change while the server runs, or "".
func fixed(a, b upstream.Config) string {
	for _, k := range []struct {
		key  string
		same bool
	}{
		{"url", a.URL == b.URL}, {"ca", a.CA == b.CA}, {"thumbprint", a.Thumbprint == b.Thumbprint},
		{"insecure", a.Insecure == b.Insecure}, {"listen", a.Listen == b.Listen},
		{"plain-http", a.PlainHTTP == b.PlainHTTP}, {"tls-cert", a.TLSCert == b.TLSCert},
		{"tls-key", a.TLSKey == b.TLSKey}, {"mode", a.Mode == b.Mode},
		{"pass-through", a.PassThrough == b.PassThrough}, {"paths", slices.Equal(a.Paths, b.Paths)},
		{"dispense", slices.EqualFunc(a.Dispense, b.Dispense, sameDispenser)},
	} {
		if !k.same {
			return k.key
		}
	}
	return ""
}
