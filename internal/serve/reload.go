package serve

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/filewatch"
	"github.com/vigate/vigate/internal/upstream"
)

// reloadEvery is how often the configuration file is looked at.
const reloadEvery = 5 * time.Second

// reload takes over the accounts and limits of the upstreams when the configuration changes. No session
// ends by that.
type reload struct {
	node   *Node
	reread func() ([]upstream.Config, error) // nil: the configuration can't be read again
	hangup <-chan os.Signal
	file   *filewatch.Watch // nil: there is no file

	mu sync.Mutex // held during a reload
}

func newReload(n *Node, o Options) *reload {
	r := &reload{node: n, reread: o.Reread, hangup: o.Hangup}
	if o.File != "" {
		r.file = filewatch.New(filewatch.Options{Paths: []string{o.File}, Now: n.now, Reload: func() {
			// A file that is being replaced may be missing for a moment.
			if _, err := os.Stat(o.File); err == nil {
				r.now("the file has changed")
			}
		}})
	}
	return r
}

// look reloads if the file has changed since the last look.
func (r *reload) look(context.Context) error {
	if r.file != nil && r.reread != nil {
		r.file.Check()
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
		if key := f.config.Fixed(cfg); key != "" {
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
