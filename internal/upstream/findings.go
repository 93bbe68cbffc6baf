package upstream

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"
)

// testTime bounds one step of a test.
const testTime = 20 * time.Second

// Finding is what a test of an upstream found out about one thing.
type Finding struct {
	Subject string // such as "certificate" or "account ci"
	Found   string // empty if Err is set
	Err     error
}

// Test finds out whether the upstream can be used: its certificate, its version, and a login with each
// account of the configuration. A login counts in all limits and in the budget of failed logins, and is
// logged out again. Once a password of a user was refused, the user is not tried again.
func (u *Upstream) Test(ctx context.Context) []Finding {
	step, cancel := context.WithTimeout(ctx, testTime)
	defer cancel()
	c, err := u.server.Ask(step)
	if err != nil {
		return []Finding{{Subject: "connection", Err: err}}
	}
	all := []Finding{
		{Subject: "certificate", Found: describeCertificate(c)},
		{Subject: "version", Found: fmt.Sprintf("%s, API %s of type %s", c.About.FullName, c.About.ApiVersion,
			c.About.ApiType)},
	}
	refused := map[string]bool{}
	for _, name := range u.State().Accounts {
		a, ok := u.Account(name.Name)
		if !ok {
			continue // a pass-through user, or one that is not configured any more
		}
		f := Finding{Subject: "account " + a.name}
		if refused[strings.ToLower(a.user)] {
			f.Err = fmt.Errorf("%w: that of another account with the same user was refused", ErrUntried)
		} else if f.Found, f.Err = u.testAccount(ctx, a); f.Err != nil {
			f.Found = ""
		}
		if errors.Is(f.Err, ErrRejected) {
			refused[strings.ToLower(a.user)] = true
		}
		all = append(all, f)
	}
	return all
}

func describeCertificate(c *Content) string {
	if c.Certificate == nil {
		return "none: the connection is not encrypted"
	}
	return fmt.Sprintf("of %s, issued by %s, valid until %s, SHA-256 thumbprint %x", c.Certificate.Subject,
		c.Certificate.Issuer, c.Certificate.NotAfter.UTC().Format(time.DateOnly), sha256.Sum256(c.Certificate.Raw))
}

// testAccount logs in with the account, and out again.
func (u *Upstream) testAccount(ctx context.Context, a *Account) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, testTime)
	defer cancel()
	if err := u.adopt(ctx); err != nil {
		return "", err
	}
	if _, err := u.acquire(ctx, demand{}); err != nil {
		return "", err
	}
	// The login goes on if ctx ends: nobody would know its outcome.
	login, end := context.WithTimeout(context.Background(), loginTime)
	defer end()
	s, err := u.loginAccount(login, a, "")
	u.mu.Lock()
	defer u.mu.Unlock()
	if err != nil {
		u.lose(a.user, err)
		if errors.Is(err, ErrRejected) || errors.Is(err, ErrUntried) {
			a.failed(err)
		}
		u.dispatch()
		return "", err
	}
	a.succeeded()
	found := fmt.Sprintf("logs in as %s", s.info.UserName)
	u.add(s, a.pool(""))
	s.draining = true
	s.settle()
	return found, nil
}
