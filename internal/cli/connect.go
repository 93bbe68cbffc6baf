package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/client"
)

// errNotLoggedIn: the command needs a session, and there are no credentials to
// get one with.
var errNotLoggedIn = errors.New("not logged in")

// job is one run of a command.
type job struct {
	*client.Client // nil before connect
	settings

	app  *app
	cmd  *cobra.Command
	args []string
	out  output
	// kept is the session that is kept for later commands; nil: none.
	kept *keptSession
	// leave ends the session with the command, since it can't or shall not be kept.
	leave bool
	// silent is set where nobody may be asked and no login be made.
	silent bool
}

func (a *app) newJob(cmd *cobra.Command, args []string) (*job, error) {
	s, err := a.settings()
	if err != nil {
		return nil, err
	}
	out := output{w: cmd.OutOrStdout(), json: a.flags.output == "json", now: a.host.Now}
	return &job{settings: s, app: a, cmd: cmd, args: args, out: out}, nil
}

// connect makes the job's client, with the session that is kept.
func (j *job) connect(ctx context.Context) error {
	kept, err := j.files.find(j.url, j.user)
	if err != nil {
		return err
	}
	return j.dial(ctx, kept)
}

// dial makes the job's client with that session.
func (j *job) dial(ctx context.Context, kept *keptSession) error {
	cfg := client.Config{
		URL: j.url, TLS: j.tls, Timeout: j.timeout, Release: j.release,
		UserAgent: "vigate/" + first(j.app.root.Version, "devel"),
	}
	if j.socket != "" {
		cfg.URL, cfg.Transport = "http://localhost", socketTransport(j.socket)
	}
	if kept != nil && cfg.Release == "" {
		// It was agreed on when the session began, which saves asking again.
		cfg.Release = kept.Release
	}
	if j.canLogin() && !j.silent {
		cfg.Login = j.loginAgain
	}
	c, err := client.New(ctx, cfg)
	if err != nil {
		return err
	}
	j.Client, j.kept = c, kept
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
func (j *job) canLogin() bool {
	return j.user != "" && (j.password != nil || j.app.flags.passwordFile != "" || j.app.flags.passwordStdin)
}

// passwordFor returns the password to log in with. ask: as a last resort,
// somebody may be asked.
func (j *job) passwordFor(ctx context.Context, ask bool) (string, error) {
	f := j.app.flags
	path := f.passwordFile
	if f.passwordStdin {
		if path != "" {
			return "", usage("--password-file and --password-stdin exclude each other")
		}
		path = "-"
	}
	switch {
	case path != "":
		password, err := j.readLine("password", path)
		if err == nil {
			j.password = &password // of standard input there is no second reading
			f.passwordFile, f.passwordStdin = "", false
		}
		return password, err
	case j.password != nil:
		return *j.password, nil
	case ask:
		password, err := j.app.host.Prompt(ctx, "Password of "+clean(j.user)+": ")
		return password, noPrompt(err, "give --password-file or --password-stdin, or set VIGATE_PASSWORD")
	}
	return "", errNotLoggedIn
}

// loginAgain logs in where no session is kept, or it has ended.
func (j *job) loginAgain(ctx context.Context, c *client.Client) error {
	password, err := j.passwordFor(ctx, false)
	if err != nil {
		return err
	}
	session, err := c.Login(ctx, j.user, password, "")
	if err != nil {
		return err
	}
	j.leave = j.leave || j.app.flags.noKeep
	if j.leave {
		return nil
	}
	if err := j.keep(session, c); err != nil {
		// The command can do its work all the same, but the session must not
		// stay behind.
		j.leave = true
		warn(j.cmd.ErrOrStderr(), "%v", err)
	}
	return nil
}

// keep keeps the client's session for later commands.
func (j *job) keep(session *types.UserSession, c *client.Client) error {
	k := &keptSession{URL: j.url, User: j.user, UserName: session.UserName, Release: c.Release(),
		Since: j.app.host.Now().UTC().Truncate(time.Second), token: c.Token()}
	if err := j.files.save(k); err != nil {
		return err
	}
	j.kept = k
	return nil
}

// own returns the client's own session, and logs in where it has none and that
// is possible.
func (j *job) own(ctx context.Context) (*types.UserSession, error) {
	session, err := j.CurrentSession(ctx)
	if err != nil || session != nil {
		return session, err
	}
	if !j.canLogin() || j.silent {
		return nil, j.ended(errNotLoggedIn)
	}
	j.SetToken(client.Token{})
	if err := j.loginAgain(ctx, j.Client); err != nil {
		return nil, err
	}
	if session, err = j.CurrentSession(ctx); err == nil && session == nil {
		err = errNotLoggedIn
	}
	return session, err
}

// finish ends a command that has come to an end with err.
func (j *job) finish(ctx context.Context, err error) error {
	defer j.Close()
	if j.leave {
		// Also where the command was interrupted.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if left := j.Logout(ctx); left != nil {
			warn(j.cmd.ErrOrStderr(), "the session that was made for this command lives on until it idles out: %v", left)
		}
	}
	if isFault[*types.NotAuthenticated](err) {
		return j.ended(err)
	}
	return err
}

// ended forgets the kept session, which the server does not know any more.
func (j *job) ended(err error) error {
	// A token that is not the kept one is that of a newer session.
	if token := j.Token(); j.kept == nil || !token.IsZero() && token != j.kept.token {
		return err
	}
	if forget := j.files.forget(j.kept); forget != nil {
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
func (j *job) explainable(err error) error {
	if err == nil {
		return nil
	}
	return serverError{err, j.url}
}

func isFault[F any](err error) bool {
	var fault F
	return client.As(err, &fault)
}
