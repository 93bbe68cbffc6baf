package upstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vigate/vigate/internal/upstream/wire"
)

// privilegeAge is how long the upstream's answer about privileges is believed.
const privilegeAge = time.Minute

// maxPrivileges bounds the privileges that are remembered of an account.
const maxPrivileges = 256

// privileges are the privileges of an account on the root folder of the upstream.
type privileges struct {
	at  time.Time
	has map[string]bool
}

// Privileges reports which of the privileges the account has on the root folder of the upstream. The
// upstream is asked at most once a minute for each privilege. The error is one of those of Pool.Acquire,
// or says that the upstream can't tell.
func (a *Account) Privileges(ctx context.Context, names ...string) (map[string]bool, error) {
	if has := a.remembered(names); has != nil {
		return has, nil
	}
	var err error
	for range 2 { // once more if the session was lost
		var has []bool
		if has, err = a.ask(ctx, names); err == nil {
			return a.remember(names, has), nil
		}
		if !errors.Is(err, ErrGone) {
			break
		}
	}
	return nil, err
}

func (a *Account) remembered(names []string) map[string]bool {
	a.upstream.mu.Lock()
	defer a.upstream.mu.Unlock()
	if a.upstream.opts.Now().Sub(a.privileges.at) >= privilegeAge {
		a.privileges = privileges{}
		return nil
	}
	has := map[string]bool{}
	for _, n := range names {
		is, known := a.privileges.has[n]
		if !known {
			return nil
		}
		has[n] = is
	}
	return has
}

func (a *Account) remember(names []string, is []bool) map[string]bool {
	a.upstream.mu.Lock()
	defer a.upstream.mu.Unlock()
	if a.privileges.has == nil || len(a.privileges.has) > maxPrivileges {
		a.privileges = privileges{at: a.upstream.opts.Now(), has: map[string]bool{}}
	}
	has := map[string]bool{}
	for i, n := range names {
		a.privileges.has[n], has[n] = is[i], is[i]
	}
	return has
}

// ask asks the upstream, on a session of the account.
func (a *Account) ask(ctx context.Context, names []string) ([]bool, error) {
	u := a.upstream
	content, err := u.Content(ctx)
	if err != nil {
		return nil, err
	}
	if content.AuthorizationManager == nil {
		return nil, errors.New("ask privileges: the upstream has no AuthorizationManager")
	}
	use, err := a.any(ctx)
	if err != nil {
		return nil, err
	}
	defer use.Done()
	s := use.Session()
	has, err := u.server.Client(s.cookie).HasPrivileges(ctx, *content.AuthorizationManager, content.RootFolder, s.key,
		slices.Clone(names))
	if wire.Ended(err) {
		s.Lost(err)
		return nil, fmt.Errorf("%w: %w", ErrGone, err)
	}
	return has, err
}

// any acquires any session of the account.
func (a *Account) any(ctx context.Context) (*Use, error) {
	u := a.upstream
	u.mu.Lock()
	var found *Session
	for _, p := range a.pools {
		for _, s := range p.sessions {
			if found == nil || s.calls < found.calls {
				found = s
			}
		}
	}
	u.mu.Unlock()
	if found != nil {
		if use, err := found.pool.AcquireOn(ctx, found); !errors.Is(err, ErrGone) {
			return use, err
		}
	}
	return u.Pool(a, "").Acquire(ctx)
}
