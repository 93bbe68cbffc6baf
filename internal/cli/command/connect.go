package command

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/client"
	"github.com/vigate/vigate/client/sessionfile"
	"github.com/vigate/vigate/internal/clientenv"
)

// errNotLoggedIn means that a command needs a session but has no credentials to log in with.
var errNotLoggedIn = errors.New("not logged in")

// Run is one run of a command: its arguments, its settings, and the client that it calls the server
// with. The client is nil until the run connects.
type Run struct {
	*client.Client
	settings

	set *Set
	cmd *cobra.Command
	// Args holds the command's arguments.
	Args []string
	// Out receives the command's result.
	Out Output
	// noLogin prevents the client from logging in by itself and from asking for a password.
	noLogin bool

	// mu guards the fields below. They have a lock because an interrupted command does not wait for
	// a login that is still running.
	mu sync.Mutex
	// saved is the session that is saved for later commands, or nil.
	saved *sessionfile.Session
	// logoutAtEnd is set if the session must end with the command because it can't or must not be
	// saved.
	logoutAtEnd bool
}

func (r *Run) currentSaved() *sessionfile.Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.saved
}

func (r *Run) setSaved(k *sessionfile.Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.saved = k
}

func (r *Run) logsOutAtEnd() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.logoutAtEnd
}

func (r *Run) setLogoutAtEnd() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.logoutAtEnd = true
}

func (set *Set) newRun(cmd *cobra.Command, args []string) (*Run, error) {
	s, err := set.settings()
	if err != nil {
		return nil, err
	}
	return set.localRun(cmd, args, s)
}

// localRun makes a run with the settings of a server. They are zero for a run that needs none.
func (set *Set) localRun(cmd *cobra.Command, args []string, s settings) (*Run, error) {
	formats, ok := set.formats[cmd]
	if !ok {
		formats = usualFormats
	}
	output := set.flags.output
	if !slices.Contains(formats, output) {
		return nil, Usage("--output must be %s, not %q", oneOf(formats), output)
	}
	out := Output{w: cmd.OutOrStdout(), Format: output, JSON: output == JSONFormat, now: set.host.Now}
	return &Run{settings: s, set: set, cmd: cmd, Args: args, Out: out}, nil
}

// connect makes the run's client. The client uses the saved session, if there is one.
func (r *Run) connect(ctx context.Context) error {
	saved, err := r.findSaved(r.user)
	if err != nil {
		return err
	}
	return r.dial(ctx, saved)
}

// dial makes the run's client with the saved session saved, which may be nil.
func (r *Run) dial(ctx context.Context, saved *sessionfile.Session) error {
	cfg := client.Config{
		URL: r.url, TLS: r.tls, Timeout: r.timeout, Release: r.release,
		UserAgent: "vigate/" + cmp.Or(r.set.root.Version, "devel"),
	}
	if t := r.address.Transport(); t != nil {
		cfg.URL, cfg.Transport = clientenv.SocketURL, t
	}
	if saved != nil && cfg.Release == "" {
		// The release was negotiated when the session began, so the client need not ask again.
		cfg.Release = saved.Release
	}
	if r.canLogin() && !r.noLogin {
		cfg.Login = r.loginAgain
	}
	c, err := client.New(ctx, cfg)
	if err != nil {
		return err
	}
	r.Client = c
	r.setSaved(saved)
	if saved != nil {
		c.SetToken(saved.Token)
	}
	return nil
}

// canLogin reports whether the run can log in without a prompt: it has a user name and a password,
// or a place to read the password from.
func (r *Run) canLogin() bool {
	return r.user != "" && (r.password != nil || r.set.flags.passwordFile != "" || r.set.flags.passwordStdin)
}

// Password returns the password to log in with. If no password was given and ask is true, it
// prompts for one.
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
			r.password = &password // standard input can be read only once
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

// loginAgain logs in if there is no saved session or if the session has ended.
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
		r.setLogoutAtEnd()
		return nil
	}
	if err := r.save(session, c); err != nil {
		// The command can go on without the file, but the session must not be left behind.
		r.setLogoutAtEnd()
		warn(r.cmd.ErrOrStderr(), "%v", err)
	}
	return nil
}

// save writes the client's session to a file for later commands.
func (r *Run) save(session *types.UserSession, c *client.Client) error {
	k := &sessionfile.Session{URL: r.url, User: r.user, UserName: session.UserName, Release: c.Release(),
		Since: r.set.host.Now().UTC().Truncate(time.Second), Token: c.Token()}
	if err := r.files.Save(k); err != nil {
		return err
	}
	r.setSaved(k)
	return nil
}

// Own returns the client's current session. If there is none, it logs in if that is possible
// without a prompt.
func (r *Run) Own(ctx context.Context) (*types.UserSession, error) {
	session, err := r.CurrentSession(ctx)
	if err != nil || session != nil {
		return session, err
	}
	if !r.canLogin() || r.noLogin {
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

// finish completes a command that returned err: it ends a session that must not be saved and closes
// the client.
func (r *Run) finish(ctx context.Context, err error) error {
	defer r.Close()
	if r.logsOutAtEnd() {
		// The session is also ended if the command was interrupted.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if left := r.Logout(ctx); left != nil {
			warn(r.cmd.ErrOrStderr(), "the session of this command could not be ended and stays alive until its idle "+
				"timeout: %v", left)
		}
	}
	if IsFault[*types.NotAuthenticated](err) {
		return r.ended(err)
	}
	return err
}

// ended removes the saved session's file, because the server no longer knows the session.
func (r *Run) ended(err error) error {
	// If the client has another token than the saved session, it has logged in again in the
	// meantime.
	saved := r.currentSaved()
	if token := r.Token(); saved == nil || !token.IsZero() && token != saved.Token {
		return err
	}
	if forget := r.files.Remove(saved); forget != nil {
		return errors.Join(err, forget)
	}
	return fmt.Errorf("the saved session has ended: %w", err)
}

// serverError is an error of a command that calls a server. It adds the server's URL.
type serverError struct {
	error
	url string
}

func (e serverError) Unwrap() error { return e.error }

// explainable wraps an error so that Explain knows the server's URL.
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

// IsAbsent reports whether err shows that the server does not have the object or the member that was called.
func IsAbsent(err error) bool {
	status, ok := errors.AsType[*client.HTTPError](err)
	return ok && status.StatusCode == http.StatusNotFound || IsFault[*types.InvalidType](err) ||
		IsFault[*types.ManagedObjectNotFound](err) || IsFault[*types.MethodNotFound](err)
}

// URL returns the server's URL in the form under which sessions are saved.
func (r *Run) URL() string { return r.url }

// User returns the user name that was given to log in with, or "".
func (r *Run) User() string { return r.user }

// Certificate returns the client certificate of the connection, or nil.
func (r *Run) Certificate() *tls.Certificate { return r.tls.Certificate }

// Now returns the current time of the host's clock.
func (r *Run) Now() time.Time { return r.set.host.Now() }
