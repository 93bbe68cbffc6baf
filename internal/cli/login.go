package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/user"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/vmware/govmomi/sts"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/client"
	"github.com/vigate/vigate/internal/cli/command"
)

// maxLegs bounds all legs of a login together, in bytes.
const maxLegs = 1 << 20

// loginFlags are those of login. Each of the first ones is a way in.
type loginFlags struct {
	extension, extensionSubject, extensionLegacy string
	tokenFile, sspi                              string
	cloneTicket, local                           bool

	credentialsFile, locale string
}

func (f *loginFlags) define(s *pflag.FlagSet) {
	s.StringVar(&f.extension, "extension", "", "as the extension with this key, by its registered certificate (--cert, --key)")
	s.StringVar(&f.extensionSubject, "extension-subject", "", "as the extension with this key, by its certificate's subject name (--cert, --key)")
	s.StringVar(&f.extensionLegacy, "extension-legacy", "", "as the extension with this key, by signed credentials (servers refuse it since release 5.0)")
	s.StringVar(&f.credentialsFile, "credentials-file", "", "file with the credentials for --extension-legacy in base64, - for standard input")
	s.StringVar(&f.tokenFile, "token-file", "", "by the SAML token in this file, - for standard input; --cert and --key prove a holder-of-key token")
	s.StringVar(&f.sspi, "sspi", "", "by SSPI or GSSAPI: base64 legs from this file, - for standard input, a line each; challenges are printed, a line each")
	s.BoolVar(&f.cloneTicket, "clone-ticket-stdin", false, "by the clone ticket on standard input")
	s.BoolVar(&f.local, "local", false, "by a local ticket, on the server's own machine (default user: the one you are)")
	s.StringVar(&f.locale, "locale", "", "locale of the session, such as de")
}

// way is one way to log in.
type way struct {
	chosen bool
	enter  func(ctx context.Context, j *job) (*types.UserSession, error)
}

// ways lists the ways in, without that by name and password.
func (f *loginFlags) ways() []way {
	return []way{
		{f.extension != "", func(ctx context.Context, j *job) (*types.UserSession, error) {
			return j.LoginExtensionByCertificate(ctx, f.extension, f.locale)
		}},
		{f.extensionSubject != "", func(ctx context.Context, j *job) (*types.UserSession, error) {
			return j.LoginExtensionBySubjectName(ctx, f.extensionSubject, f.locale)
		}},
		{f.extensionLegacy != "", f.byCredentials},
		{f.tokenFile != "", f.byToken},
		{f.sspi != "", f.bySSPI},
		{f.cloneTicket, func(ctx context.Context, j *job) (*types.UserSession, error) { return clone(ctx, j, "-") }},
		{f.local, f.byLocalTicket},
	}
}

func (f *loginFlags) enter(ctx context.Context, j *job) (*types.UserSession, error) {
	enter := f.byPassword
	chosen := 0
	for _, w := range f.ways() {
		if w.chosen {
			enter = w.enter
			chosen++
		}
	}
	if chosen > 1 {
		return nil, command.Usage("more than one way to log in is given")
	}
	return enter(ctx, j)
}

func (a *app) login() *cobra.Command {
	var f loginFlags
	cmd := a.bare("login [flags]", "Log in and keep the session for later commands", cobra.NoArgs,
		func(ctx context.Context, j *job) error { return j.start(ctx, f.enter, !f.cloneTicket) })
	cmd.Long = cmd.Short + `.

Without other flags it is by name and password, which comes from
--password-file, --password-stdin, VIGATE_PASSWORD, GOVC_PASSWORD or a prompt,
never from the command line. The session goes to a file that only you can read,
under $XDG_STATE_HOME/vigate/sessions or in --session-file. A session that was
kept for the same user of the same server is ended.

Commands that need a session and find none log in by themselves where the name
and the password are at hand. Variables of govc count only where none of
VIGATE_URL, VIGATE_USERNAME and VIGATE_PASSWORD is set, and a password from the
environment is only sent to the server, and with the name, that stand beside it.`
	f.define(cmd.Flags())
	return cmd
}

// start logs in by enter, keeps the session and shows it.
func (j *job) start(ctx context.Context, enter func(context.Context, *job) (*types.UserSession, error), replace bool) error {
	session, err := j.StartSession(ctx, func(ctx context.Context) (*types.UserSession, error) { return enter(ctx, j) }, replace)
	if err != nil {
		return err
	}
	return j.Out.Show(session, func() *command.Table { return j.sessionTable(session) })
}

func (f *loginFlags) byPassword(ctx context.Context, j *job) (*types.UserSession, error) {
	if j.User() == "" {
		return nil, command.Usage("no user is named: give --username, or set VIGATE_USERNAME or GOVC_USERNAME")
	}
	password, err := j.Password(ctx, true)
	if err != nil {
		return nil, err
	}
	return j.Login(ctx, j.User(), password, f.locale)
}

func (f *loginFlags) byCredentials(ctx context.Context, j *job) (*types.UserSession, error) {
	if f.credentialsFile == "" {
		return nil, command.Usage("--extension-legacy needs --credentials-file")
	}
	credentials, err := j.ReadLine("credentials", f.credentialsFile)
	if err != nil {
		return nil, err
	}
	if err := j.LoginExtension(ctx, f.extensionLegacy, credentials, f.locale); err != nil {
		return nil, err
	}
	// The one login without a result.
	return j.Own(ctx)
}

func (f *loginFlags) byToken(ctx context.Context, j *job) (*types.UserSession, error) {
	token, err := j.Read("token", f.tokenFile)
	if err != nil {
		return nil, err
	}
	return j.LoginByToken(ctx, &sts.Signer{Token: strings.TrimSpace(token), Certificate: j.Certificate()}, f.locale)
}

// bySSPI sends one leg after the other, and prints the challenges for whoever
// makes the next leg.
func (f *loginFlags) bySSPI(ctx context.Context, j *job) (*types.UserSession, error) {
	in, err := j.Open("legs of the login", f.sspi)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	legs := bufio.NewReader(io.LimitReader(in, maxLegs))
	var last error
	for {
		leg, err := legs.ReadString('\n')
		if leg = strings.TrimSpace(leg); leg == "" {
			if err != nil && !errors.Is(err, io.EOF) {
				return nil, fmt.Errorf("read leg of the login: %w", err)
			}
			if last == nil {
				last = command.Usage("there is no leg to log in with")
			}
			return nil, last
		}
		session, err := j.LoginBySSPI(ctx, leg, f.locale)
		var challenge *types.SSPIChallenge
		if !client.As(err, &challenge) {
			return session, err
		}
		last = err
		if err := j.Out.Line(challenge.Base64Token); err != nil {
			return nil, err
		}
	}
}

func (f *loginFlags) byLocalTicket(ctx context.Context, j *job) (*types.UserSession, error) {
	name := j.User()
	if name == "" {
		me, err := user.Current()
		if err != nil {
			return nil, command.Usage("no user is named: give --username")
		}
		name = me.Username
	}
	ticket, err := j.AcquireLocalTicket(ctx, name)
	if err != nil {
		return nil, err
	}
	password, err := j.ReadLine("one-time password", ticket.PasswordFilePath)
	if err != nil {
		return nil, err
	}
	return j.Login(ctx, ticket.UserName, password, f.locale)
}

// clone logs in by a clone ticket, which is a secret while nobody has taken it.
func clone(ctx context.Context, j *job, path string) (*types.UserSession, error) {
	ticket, err := j.ReadLine("ticket", path)
	if err != nil {
		return nil, err
	}
	return j.CloneSession(ctx, strings.TrimSpace(ticket))
}

func (a *app) logout() *cobra.Command {
	var forget bool
	cmd := a.bare("logout [flags]", "End the kept session and forget it", cobra.NoArgs,
		func(ctx context.Context, j *job) error { return j.EndSession(ctx, forget) })
	cmd.Flags().BoolVar(&forget, "forget", false, "only forget it, for a server that is gone")
	return cmd
}

func (a *app) whoami() *cobra.Command {
	return a.command("whoami [flags]", "Show the session that commands use", cobra.NoArgs, func(ctx context.Context, j *job) error {
		session, err := j.Own(ctx)
		if err != nil {
			return err
		}
		return j.Out.Show(session, func() *command.Table { return j.sessionTable(session) })
	})
}

func (j *job) sessionTable(s *types.UserSession) *command.Table {
	t := &command.Table{}
	t.Add("Server:", j.URL())
	t.Add("User:", s.UserName)
	t.Add("Full name:", s.FullName)
	t.Add("Session:", s.Key)
	t.Add("Since:", command.Moment(s.LoginTime))
	t.Add("From:", s.IpAddress)
	t.Add("Client:", s.UserAgent)
	t.Add("Locale:", s.Locale)
	t.Add("Extension:", command.YesNo(s.ExtensionSession))
	return t
}

func (a *app) about() *cobra.Command {
	return a.command("about [flags]", "Show what the server is", cobra.NoArgs, func(ctx context.Context, j *job) error {
		content, err := j.ServiceContent(ctx)
		if err != nil {
			return err
		}
		about := content.About
		return j.Out.Show(about, func() *command.Table {
			t := &command.Table{}
			t.Add("Name:", about.FullName)
			t.Add("Vendor:", about.Vendor)
			t.Add("Version:", about.Version)
			t.Add("Build:", about.Build)
			t.Add("API type:", about.ApiType)
			t.Add("API version:", about.ApiVersion)
			t.Add("Release in use:", j.Release())
			t.Add("UUID:", about.InstanceUuid)
			return t
		})
	})
}
