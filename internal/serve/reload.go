package serve

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
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
	if o.File == "" || o.Reread == nil {
		return r
	}
	watch := filewatch.Options{Paths: []string{o.File}, Now: n.now, Failed: r.failed("the file has changed")}
	if o.FileSeen != nil {
		if !o.FileSeen.Mode().IsRegular() {
			return r // a pipe can be read once
		}
		watch.Seen = []fs.FileInfo{o.FileSeen}
	}
	watch.Reload = func() error {
		// A file that is being replaced may be missing for a moment. That it is there again is a change.
		if _, err := os.Stat(o.File); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return r.now("the file has changed")
	}
	r.file = filewatch.New(watch)
	return r
}

// look reloads if the file has changed since the last look.
func (r *reload) look(context.Context) error {
	if r.file != nil {
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
			if err := r.now("a signal"); err != nil {
				r.failed("a signal")(err)
			}
		}
	}
}

// failed returns a function that logs why the configuration, or a part of it, was not taken over.
func (r *reload) failed(why string) func(error) {
	return func(err error) {
		r.node.logger.Error("the configuration was not taken over", "because", why, "err", err)
	}
}

// now reloads. What can't be taken over stays as it was before. Changes that need a restart are logged. The error is
// about all others, which may succeed later although the file does not change, for example when the file of a
// password is there.
func (r *reload) now(why string) error {
	if r.reread == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	all, err := r.reread()
	if err != nil {
		return err
	}
	restart, err := r.node.takeOver(all)
	if err != nil {
		return errors.Join(restart, err)
	}
	if restart != nil {
		r.failed(why)(restart)
		return nil
	}
	r.node.logger.Info("accounts and limits of the upstreams were read again", "because", why)
	return nil
}

// takeOver sets the accounts and limits of the upstreams. The errors join the changes that need a restart, and those
// that can't be used; all others are in force.
func (n *Node) takeOver(all []upstream.Config) (restart, unusable error) {
	var later, errs []error
	for _, cfg := range all {
		i := slices.IndexFunc(n.fronts, func(f *frontServer) bool { return f.config.Name == cfg.Name })
		if i < 0 {
			later = append(later, fmt.Errorf("upstream %s is new: it needs a restart", cfg.Name))
			continue
		}
		f := n.fronts[i]
		if key := f.config.Fixed(cfg); key != "" {
			later = append(later, fmt.Errorf("upstream %s: a change of %s needs a restart", cfg.Name, key))
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
			later = append(later, fmt.Errorf("upstream %s was removed: that needs a restart", f.config.Name))
		}
	}
	return errors.Join(later...), errors.Join(errs...)
}
