package command

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/client"
)

// errNotLoggedIn: the command needs a session, and there are no credentials to
// get one with.
var errNotLoggedIn = errors.New("not logged in")

// Run is one run of a command.
type Run struct {
	*client.Client // nil before connect
	settings

	set *Set
	cmd *cobra.Command
	// Args are the command's arguments.
	Args []string
	// Out is where its result goes.
	Out Output
	// silent is set where nobody may be asked and no login be made.
	silent bool

	// An interrupted command does not wait for a login that is under way.
	mu sync.Mutex // guards what follows
	// kept is the session that is kept for later commands; nil: none.
	kept *keptSession
	// leave ends the session with the command, since it can't or shall not be kept.
	leave bool
}

func (r *Run) keptNow() *keptSession {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.kept
}

func (r *Run) setKept(k *keptSession) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept = k
}

func (r *Run) leaves() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.leave
}

func (r *Run) setLeave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leave = true
}

func (set *Set) newRun(cmd *cobra.Command, args []string) (*Run, error) {
	s, err := set.settings()
	if err != nil {
		return nil, err
	}
	out := Output{w: cmd.OutOrStdout(), JSON: set.flags.output == "json", now: set.host.Now}
	return &Run{settings: s, set: set, cmd: cmd, Args: args, Out: out}, nil
}

// connect makes the run's client, with the session that is kept.
func (r *Run) connect(ctx context.Context) error {
	kept, err := r.files.find(r.url, r.user)
	if err != nil {
		return err
	}
	return r.dial(ctx, kept)
}

// dial makes the run's client with that session.
func (r *Run) dial(ctx context.Context, kept *keptSession) error {
	cfg := client.Config{
		URL: r.url, TLS: r.tls, Timeout: r.timeout, Release: r.release,
		UserAgent: "vigate/" + cmp.Or(r.set.root.Version, "devel"),
	}
	if r.socket != "" {
		cfg.URL, cfg.Transport = "http://localhost", socketTransport(r.socket)
	}
	if kept != nil && cfg.Release == "" {
		// It was agreed on when the session began, which saves asking again.
		cfg.Release = kept.Release
	}
	if r.canLogin() && !r.silent {
		cfg.Login = r.loginAgain
	}
	c, err := client.New(ctx, cfg)
	if err != nil {
		return err
	}
	r.Client = c
	r.setKept(kept)
	if kept != nil {
		c.SetToken(kept.token)
	}
	return nil
}

func socketTransport(path string) *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		},
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// canLogin reports whether there are a name and a password to log in with,
// without asking anybody.
func (r *Run) canLogin() bool {
	return r.user != "" && (r.password != nil || r.set.flags.passwordFile != "" || r.set.flags.passwordStdin)
}

// Password returns the password to log in with. ask: as a last resort,
// somebody may be asked.
func (r *Run) Password(ctx context.Context, ask bool) (string, error) {
	f := r.set.flags
	path := f.passwordFile
	if f.passwordStdin {
		if path != "" {
			return "", Usage("--password-file and --password-stdin exclude each other")
		}
		path = "-"
	}
	switch {
	case path != "":
		password, err := r.ReadLine("password", path)
		if err == nil {
			r.password = &password // of standard input there is no second reading
			f.passwordFile, f.passwordStdin = "", false
		}
		return password, err
	case r.password != nil:
		return *r.password, nil
	case ask:
		password, err := r.set.host.Prompt(ctx, "Password of "+Clean(r.user)+": ")
		return password, noPrompt(err, "give --password-file or --password-stdin, or set VIGATE_PASSWORD")
	}
	return "", errNotLoggedIn
}

// loginAgain logs in where no session is kept, or it has ended.
func (r *Run) loginAgain(ctx context.Context, c *client.Client) error {
	password, err := r.Password(ctx, false)
	if err != nil {
		return err
	}
	session, err := c.Login(ctx, r.user, password, "")
	if err != nil {
		return err
	}
	if r.set.flags.noKeep {
		r.setLeave()
		return nil
	}
	if err := r.keep(session, c); err != nil {
		// The command can do its work all the same, but the session must not
		// stay behind.
		r.setLeave()
		warn(r.cmd.ErrOrStderr(), "%v", err)
	}
	return nil
}

// keep keeps the client's session for later commands.
func (r *Run) keep(session *types.UserSession, c *client.Client) error {
	k := &keptSession{URL: r.url, User: r.user, UserName: session.UserName, Release: c.Release(),
		Since: r.set.host.Now().UTC().Truncate(time.Second), token: c.Token()}
	if err := r.files.save(k); err != nil {
		return err
	}
	r.setKept(k)
	return nil
}

// Own returns the client's own session, and logs in where it has none and that
// is possible.
func (r *Run) Own(ctx context.Context) (*types.UserSession, error) {
	session, err := r.CurrentSession(ctx)
	if err != nil || session != nil {
		return session, err
	}
	if !r.canLogin() || r.silent {
		return nil, r.ended(errNotLoggedIn)
	}
	r.SetToken(client.Token{})
	if err := r.loginAgain(ctx, r.Client); err != nil {
		return nil, err
	}
	if session, err = r.CurrentSession(ctx); err == nil && session == nil {
		err = errNotLoggedIn
	}
	return session, err
}

// finish ends a command that has come to an end with err.
func (r *Run) finish(ctx context.Context, err error) error {
	defer r.Close()
	if r.leaves() {
		// Also where the command was interrupted.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if left := r.Logout(ctx); left != nil {
			warn(r.cmd.ErrOrStderr(), "the session that was made for this command lives on until it idles out: %v", left)
		}
	}
	if IsFault[*types.NotAuthenticated](err) {
		return r.ended(err)
	}
	return err
}

// ended forgets the kept session, which the server does not know any more.
func (r *Run) ended(err error) error {
	// A token that is not the kept one is that of a newer session.
	kept := r.keptNow()
	if token := r.Token(); kept == nil || !token.IsZero() && token != kept.token {
		return err
	}
	if forget := r.files.forget(kept); forget != nil {
		return errors.Join(err, forget)
	}
	return fmt.Errorf("the kept session has ended: %w", err)
}

// serverError is an error of a command that calls a server.
type serverError struct {
	error
	url string
}

func (e serverError) Unwrap() error { return e.error }

// explainable adds to an error what is needed to explain it.
func (r *Run) explainable(err error) error {
	if err == nil {
		return nil
	}
	return serverError{err, r.url}
}

// IsFault reports whether there is a fault of type F, or of a subtype, in err.
func IsFault[F any](err error) bool {
	var fault F
	return client.As(err, &fault)
}

// URL is that of the server, as sessions are kept under.
func (r *Run) URL() string { return r.url }

// User is the name that was given to log in with; "" for none.
func (r *Run) User() string { return r.user }

// Certificate is that which the connection shows; nil for none.
func (r *Run) Certificate() *tls.Certificate { return r.tls.Certificate }

// Now is the host's clock.
func (r *Run) Now() time.Time { return r.set.host.Now() }
