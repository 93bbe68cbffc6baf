package upstream

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vigate/vigate/internal/secret/secretfile"
	"github.com/vigate/vigate/internal/upstream/note"
	"github.com/vigate/vigate/internal/upstream/password"
)

// Account is a user of the upstream: one of the configuration, or a pass-through user, who has proved
// the password to the upstream.
type Account struct {
	upstream *Upstream
	name     string
	user     string
	file     string   // of the password; empty for a pass-through user
	methods  []string // patterns; nil: everything may be called
	gone     chan struct{}
	restTurn chan struct{} // full while somebody logs in to the Automation API

	// upstream.mu guards the fields below.
	pools    map[string]*Pool // by locale
	size     int              // number of sessions
	retained int              // client sessions that end with the last session, see Retain
	former   bool             // not configured any more
	ended    bool             // gone is closed
	retry    time.Time        // no login is tried before
	failures int              // of logins, since one succeeded
	cause    error            // of the last failure; nil after a success
	tried    password.Digest  // of the last login
	accepted password.Digest  // of the last login that succeeded
	opening  int              // logins in progress
	rest     *REST            // the session of the Automation API, if that is another; may be nil

	restTimes []time.Time // of the latest logins to the Automation API

	privileges privileges
}

// Name returns the name in the configuration, or the name at the upstream of a pass-through user.
func (a *Account) Name() string { return a.name }

// User returns the name at the upstream.
func (a *Account) User() string { return a.user }

// PassThrough reports whether the account is that of a pass-through user.
func (a *Account) PassThrough() bool { return a.file == "" }

// Gone returns a channel that is closed when the account can't be used any more: the last session of a
// pass-through user has ended.
func (a *Account) Gone() <-chan struct{} { return a.gone }

// Allows reports whether the account may be used to call a method, or to request a path.
func (a *Account) Allows(method string) bool {
	if a.methods == nil {
		return true
	}
	for _, m := range a.methods {
		if matches(m, method) {
			return true
		}
	}
	return false
}

// matches reports whether the text is one that the pattern describes. A * stands for any text.
func matches(pattern, text string) bool {
	first, rest, some := strings.Cut(pattern, "*")
	if !strings.HasPrefix(text, first) || !some {
		return text == pattern
	}
	text = text[len(first):]
	for {
		part, more, some := strings.Cut(rest, "*")
		if !some {
			return strings.HasSuffix(text, part)
		}
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text, rest = text[i+len(part):], more
	}
}

// Retain prevents that the last session of a pass-through user is logged out for lack of calls,
// because a client session would end with it. The caller must call release when that client session
// ends.
func (a *Account) Retain() (release func()) {
	a.upstream.mu.Lock()
	defer a.upstream.mu.Unlock()
	a.retained++
	released := false
	return func() {
		a.upstream.mu.Lock()
		defer a.upstream.mu.Unlock()
		if !released {
			released = true
			a.retained--
		}
	}
}

// newAccount returns an account without sessions.
func (u *Upstream) newAccount(name, user string) *Account {
	return &Account{upstream: u, name: name, user: user, gone: make(chan struct{}), pools: map[string]*Pool{},
		restTurn: make(chan struct{}, 1)}
}

// Account returns the account of the configuration with the name.
func (u *Upstream) Account(name string) (*Account, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	a, ok := u.accounts[name]
	return a, ok
}

// User returns the account of a pass-through user, by the name as the upstream spells it. Names that differ in case
// are different users: ESXi and the simulator tell them apart.
func (u *Upstream) User(name string) (*Account, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	a, ok := u.users[name]
	return a, ok
}

// Reload sets the accounts and the limits of another configuration. It ends no session: the sessions of an account
// that is not configured any more still serve the calls in flight and the objects that clients own. The error joins a
// mistake for each file that can't be used; then nothing has changed.
func (u *Upstream) Reload(cfg Config) error { return errors.Join(u.configure(cfg)...) }

func (u *Upstream) configure(cfg Config) []error {
	var errs []error
	fresh := map[string]*Account{}
	for i := range cfg.Accounts {
		c := &cfg.Accounts[i]
		if _, err := secretfile.Read(c.PasswordFile, "password", u.opts.Logger); err != nil {
			errs = append(errs, c.Wrong("password-file", "can't be used: %v", err))
		}
		a := u.newAccount(c.Name, c.Username)
		a.file = c.PasswordFile
		if len(c.Methods) > 0 {
			a.methods = append([]string(nil), c.Methods...)
		}
		fresh[c.Name] = a
	}
	if len(errs) > 0 {
		return errs
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.limits = limitsOf(&cfg)
	for name, old := range u.accounts {
		a := fresh[name]
		if a != nil && a.user == old.user && a.file == old.file && equal(a.methods, old.methods) {
			fresh[name] = old
			continue
		}
		old.former = true
		if old.size > 0 || old.opening > 0 {
			u.former[old] = true
		}
	}
	u.accounts = fresh
	u.settle()
	u.dispatch()
	return nil
}

func equal(a, b []string) bool {
	return strings.Join(a, "\n") == strings.Join(b, "\n") && (a == nil) == (b == nil)
}

const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 15 * time.Second
	// quickRetries is how often a login that failed is tried again while the callers wait. A server
	// that is overloaded for a moment costs no error then, and one that is down does not keep
	// everybody waiting.
	quickRetries = 3
)

// failed notes that a login has failed. The caller holds mu.
func (a *Account) failed(err error) {
	u := a.upstream
	now := u.opts.Now()
	first := a.cause == nil
	a.failures++
	a.cause = err
	a.retry = now.Add(jitter(min(firstRetry<<min(a.failures-1, 10), lastRetry)))
	if !errors.Is(err, ErrUnreachable) {
		// Repeating the same at once will not help.
		a.failures = max(a.failures, quickRetries+1)
		until := u.refusals.Until(a.tried)
		var budget *note.BudgetError
		if errors.As(err, &budget) && budget.Until.After(until) {
			until = budget.Until
		}
		if until.After(a.retry) {
			a.retry = until
		}
	}
	u.counts.failures.Add(1)
	if first || errors.Is(err, ErrRejected) {
		u.opts.Logger.Warn("vigate can't log in to the upstream", "account", a.name, "user", a.user,
			"err", err)
	}
}

// succeeded notes that a login has succeeded. The caller holds mu.
func (a *Account) succeeded() {
	if a.cause != nil {
		a.upstream.opts.Logger.Info("vigate can log in to the upstream again", "account", a.name)
	}
	a.cause, a.failures, a.retry, a.accepted = nil, 0, time.Time{}, a.tried
	a.upstream.refusals.Accepted(a.tried)
}

// unable returns why no login can be tried now. patient is set if that will pass soon. The caller holds
// mu.
func (a *Account) unable(now time.Time) (err error, patient bool) {
	switch {
	case a.former:
		return fmt.Errorf("%w: it is not configured any more", ErrAccount), false
	case a.PassThrough():
		return ErrGone, false // the password is not kept
	case now.Before(a.retry):
		return a.cause, a.failures <= quickRetries
	}
	return nil, false
}
