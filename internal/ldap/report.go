package ldap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/directory"
	"github.com/vigate/vigate/internal/login"
)

// reportEvery is the shortest time between two log lines about one outage.
const reportEvery = time.Minute

// reports logs outages of a directory, without a line for each login that fails by one.
type reports struct {
	now    func() time.Time
	logger *slog.Logger
	domain string

	mu   sync.Mutex // guards what follows
	down bool       // whether the last logged line reports an outage
	last time.Time  // when a line said so last
	more int        // failures since then
}

// of returns the error of an operation. If the error says nothing about a user or the caller, it is an
// outage: of logs it, and adds directory.ErrUnavailable.
func (r *reports) of(err error) error {
	switch {
	case err == nil, unknown(err), errors.Is(err, login.ErrRejected):
		r.works()
		return err
	case errors.Is(err, login.ErrBusy), errors.Is(err, errGroups),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case !errors.Is(err, directory.ErrUnavailable):
		err = fmt.Errorf("%w: %w", directory.ErrUnavailable, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	// The time counts even if the directory has answered meanwhile: it may come and go.
	if !r.last.IsZero() && now.Sub(r.last) < reportEvery {
		r.more++
		return err
	}
	r.logger.Error("the directory is not available: its users can't log in with their passwords",
		"domain", r.domain, "failures", r.more+1, "err", err)
	r.down, r.last, r.more = true, now, 0
	return err
}

// works records that the directory has answered.
func (r *reports) works() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		r.logger.Info("the directory is available again", "domain", r.domain)
	}
	r.down = false
}
