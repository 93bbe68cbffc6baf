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

// maxLegs limits the total size of the SSPI tokens of one login, in bytes.
const maxLegs = 1 << 20

// loginFlags are the flags of the login command. Each field up to local selects a login method.
type loginFlags struct {
	extension, extensionSubject, extensionLegacy string
	tokenFile, sspi                              string
	cloneTicket, local                           bool

	credentialsFile, locale string
}

func (f *loginFlags) define(s *pflag.FlagSet) {
	s.StringVar(&f.extension, "extension", "", "log in as the extension KEY with its registered certificate (--cert, "+
		"--key)")
	s.StringVar(&f.extensionSubject, "extension-subject", "",
		"log in as the extension KEY with its certificate's subject name (--cert, --key)")
	s.StringVar(&f.extensionLegacy, "extension-legacy", "",
		"log in as the extension KEY with signed credentials (servers refuse this since release 5.0)")
	s.StringVar(&f.credentialsFile, "credentials-file", "",
		"file that holds the base64 credentials for --extension-legacy, - for standard input")
	s.StringVar(&f.tokenFile, "token-file", "", "log in with the SAML token in FILE, - for standard input; a "+
		"holder-of-key token needs --cert and --key")
	s.StringVar(&f.sspi, "sspi", "", "log in with SSPI or GSSAPI; FILE holds the base64 tokens, one per line, - for "+
		"standard input; challenges are printed, one per line")
	s.BoolVar(&f.cloneTicket, "clone-ticket-stdin", false, "log in with the clone ticket on standard input")
	s.BoolVar(&f.local, "local", false, "log in with a local ticket on the server's own machine (default user: your "+
		"own account)")
	s.StringVar(&f.locale, "locale", "", "locale of the session, such as de")
}

// loginMethod is one way to log in.
type loginMethod struct {
	chosen bool
	login  func(ctx context.Context, j *job) (*types.UserSession, error)
}

// methods returns all login methods except the one by user name and password.
func (f *loginFlags) methods() []loginMethod {
	return []loginMethod{
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

func (f *loginFlags) login(ctx context.Context, j *job) (*types.UserSession, error) {
	login := f.byPassword
	chosen := 0
	for _, m := range f.methods() {
		if m.chosen {
			login = m.login
			chosen++
		}
	}
	if chosen > 1 {
		return nil, command.Usage("the flags select more than one way to log in")
	}
	return login(ctx, j)
}

func (a *app) login() *cobra.Command {
	var f loginFlags
	cmd := a.unconnected("login [flags]", "Log in and save the session for later commands", cobra.NoArgs,
		func(ctx context.Context, j *job) error { return j.start(ctx, f.login, !f.cloneTicket) })
	cmd.Long = cmd.Short + `.

By default, login uses a user name and a password. The password is read from
--password-file, --password-stdin, VIGATE_PASSWORD, GOVC_PASSWORD or a prompt,
never from the command line. The session is saved in a file that only you can
read, in $XDG_STATE_HOME/vigate/sessions or in --session-file. A session that
was saved before for the same user and server is ended.

A command that needs a session and finds none logs in by itself if it has a user
name and a password. GOVC_* variables are used only if none of VIGATE_URL,
VIGATE_USERNAME and VIGATE_PASSWORD is set. A password from the environment is
used only with the URL and the user name from the same set of variables.`
	f.define(cmd.Flags())
	return cmd
}

// start logs in with the function login, saves the session and prints it.
func (j *job) start(
	ctx context.Context, login func(context.Context, *job) (*types.UserSession, error), replace bool,
) error {
	session, err := j.StartSession(ctx, func(ctx context.Context) (*types.UserSession, error) {
		return login(ctx, j)
	}, replace)
	if err != nil {
		return err
	}
	return j.Out.Show(session, func() *command.Table { return j.sessionTable(session) })
}

func (f *loginFlags) byPassword(ctx context.Context, j *job) (*types.UserSession, error) {
	if j.User() == "" {
		return nil, command.Usage("no user is given; use --username, or set VIGATE_USERNAME or GOVC_USERNAME")
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
	// LoginExtension is the only login that does not return the session.
	return j.Own(ctx)
}

func (f *loginFlags) byToken(ctx context.Context, j *job) (*types.UserSession, error) {
	token, err := j.Read("token", f.tokenFile)
	if err != nil {
		return nil, err
	}
	return j.LoginByToken(ctx, &sts.Signer{Token: strings.TrimSpace(token), Certificate: j.Certificate()}, f.locale)
}

// bySSPI sends one token after the other. It prints the server's challenges, so that the program
// that makes the tokens can make the next one.
func (f *loginFlags) bySSPI(ctx context.Context, j *job) (*types.UserSession, error) {
	in, err := j.Open("SSPI tokens", f.sspi)
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
				return nil, fmt.Errorf("read SSPI token: %w", err)
			}
			if last == nil {
				last = command.Usage("there is no SSPI token to log in with")
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
			return nil, command.Usage("no user is given; use --username")
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

// clone logs in with a clone ticket. The ticket is a secret until it is used.
func clone(ctx context.Context, j *job, path string) (*types.UserSession, error) {
	ticket, err := j.ReadLine("ticket", path)
	if err != nil {
		return nil, err
	}
	return j.CloneSession(ctx, strings.TrimSpace(ticket))
}

func (a *app) logout() *cobra.Command {
	var forget bool
	cmd := a.unconnected("logout [flags]", "End the saved session and remove its file", cobra.NoArgs,
		func(ctx context.Context, j *job) error { return j.EndSession(ctx, forget) })
	cmd.Flags().BoolVar(&forget, "forget", false, "only remove the file, for a server that no longer exists")
	return cmd
}

func (a *app) whoami() *cobra.Command {
	return a.command("whoami [flags]", "Show the session that commands use", cobra.NoArgs,
		func(ctx context.Context, j *job) error {
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
	return a.command("about [flags]", "Show the server's name and version", cobra.NoArgs,
		func(ctx context.Context, j *job) error {
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
