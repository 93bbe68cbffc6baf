package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/cli/command"
	"github.com/vigate/vigate/internal/cli/session"
)

func (a *app) session() *cobra.Command {
	return command.Group("session", "List, end and clone sessions", append(session.Commands(a.Set),
		a.sessionActive(), a.cloneTicket(), a.clone(), a.impersonate(),
		a.locale(), a.locales(), a.message(),
		a.serviceTicket(), a.localTicket(),
	)...)
}

func (a *app) sessionActive() *cobra.Command {
	var status bool
	cmd := a.command("active KEY USER", "Check whether a session is live and belongs to USER; prints true or false",
		cobra.ExactArgs(2),
		func(ctx context.Context, j *job) error {
			active, err := j.SessionIsActive(ctx, j.Args[0], j.Args[1])
			if err != nil {
				return err
			}
			if err := j.Out.Show(active,
				func() *command.Table { return &command.Table{Rows: [][]string{{fmt.Sprint(active)}}} }); err != nil {
				return err
			}
			if status && !active {
				return command.WithExitCode(errors.New("no live session of that user has this key"),
					command.ExitNotFound)
			}
			return nil
		})
	cmd.Flags().BoolVar(&status, "exit-status", false, "exit with 5 if the result is false (default: exit with 0)")
	cmd.ValidArgsFunction = a.Complete(false, session.Keys)
	return cmd
}

func (a *app) cloneTicket() *cobra.Command {
	cmd := a.command("clone-ticket [flags]", "Print a one-time ticket with which another client gets a clone of this "+
		"session", cobra.NoArgs,
		func(ctx context.Context, j *job) error {
			ticket, err := j.AcquireCloneTicket(ctx)
			if err != nil {
				return err
			}
			return j.Out.Text(ticket)
		})
	cmd.Long = cmd.Short + `.

The ticket is a secret until it is used or expires. Example:

  vigate session clone-ticket | ssh host vigate login --clone-ticket-stdin`
	return cmd
}

func (a *app) clone() *cobra.Command {
	var path string
	cmd := a.unconnected("clone [flags]", "Log in with a clone ticket and save the new session", cobra.NoArgs,
		func(ctx context.Context, j *job) error {
			login := func(ctx context.Context, j *job) (*types.UserSession, error) { return clone(ctx, j, path) }
			// The replaced session must not be ended, because it may be the session that was cloned.
			return j.start(ctx, login, false)
		})
	cmd.Long = cmd.Short + `.

The new session replaces a saved session of the same user, but that one stays
alive on the server. To save both, use --session-file.`
	cmd.Flags().StringVar(&path, "ticket-file", "-", "file that holds the ticket, - for standard input")
	return cmd
}

func (a *app) impersonate() *cobra.Command {
	var locale string
	cmd := a.command("impersonate USER", "Make the session act as another user", cobra.ExactArgs(1),
		func(ctx context.Context, j *job) error {
			session, err := j.ImpersonateUser(ctx, j.Args[0], locale)
			if err != nil {
				return err
			}
			return j.Out.Show(session, func() *command.Table { return j.sessionTable(session) })
		})
	cmd.Flags().StringVar(&locale, "locale", "", "new locale of the session")
	return cmd
}

func (a *app) locale() *cobra.Command {
	return a.command("locale [LOCALE]", "Show or change the session's locale", cobra.MaximumNArgs(1),
		func(ctx context.Context, j *job) error {
			if len(j.Args) == 1 {
				return j.SetLocale(ctx, j.Args[0])
			}
			session, err := j.Own(ctx)
			if err != nil {
				return err
			}
			return j.Out.Show(sessionLocale{session.Locale, session.MessageLocale}, func() *command.Table {
				t := &command.Table{}
				t.Add("Locale:", session.Locale)
				t.Add("Messages in:", session.MessageLocale)
				return t
			})
		})
}

type sessionLocale struct {
	Locale        string `json:"locale"`
	MessageLocale string `json:"messageLocale"`
}

type serverLocales struct {
	Default   string   `json:"defaultLocale"`
	Supported []string `json:"supportedLocaleList"`
	Messages  []string `json:"messageLocaleList"`
}

func (a *app) locales() *cobra.Command {
	return a.command("locales [flags]", "Show the server's locales", cobra.NoArgs,
		func(ctx context.Context, j *job) error {
			var l serverLocales
			var err error
			if l.Default, err = j.DefaultLocale(ctx); err != nil {
				return err
			}
			if l.Supported, err = j.SupportedLocaleList(ctx); err != nil {
				return err
			}
			if l.Messages, err = j.MessageLocaleList(ctx); err != nil {
				return err
			}
			return j.Out.Show(l, func() *command.Table {
				t := &command.Table{}
				t.Add("Default:", l.Default)
				t.Add("Messages in:", strings.Join(l.Messages, " "))
				t.Add("Supported:", strings.Join(l.Supported, " "))
				return t
			})
		})
}

func (a *app) message() *cobra.Command {
	var path string
	var clear bool
	cmd := a.command("message [TEXT]", "Show or change the server's message to all users", cobra.MaximumNArgs(1),
		func(ctx context.Context, j *job) error {
			given := 0
			for _, is := range []bool{len(j.Args) == 1, path != "", clear} {
				if is {
					given++
				}
			}
			switch {
			case given > 1:
				return command.Usage("TEXT, --file and --clear exclude each other")
			case clear:
				return j.UpdateServiceMessage(ctx, "")
			case path != "":
				text, err := j.Read("message", path)
				if err != nil {
					return err
				}
				return j.UpdateServiceMessage(ctx, strings.TrimSuffix(text, "\n"))
			case len(j.Args) == 1:
				return j.UpdateServiceMessage(ctx, j.Args[0])
			}
			text, err := j.Message(ctx)
			if err != nil || text == "" && !j.Out.JSON {
				return err
			}
			return j.Out.Text(text)
		})
	cmd.Flags().StringVar(&path, "file", "", "file that holds the new message, - for standard input")
	cmd.Flags().BoolVar(&clear, "clear", false, "remove the message")
	return cmd
}

func (a *app) serviceTicket() *cobra.Command {
	var method, vmomi string
	var anonymous bool
	cmd := a.command("service-ticket [URL]", "Print a one-time ticket for one request", cobra.MaximumNArgs(1),
		func(ctx context.Context, j *job) error {
			spec, err := serviceRequest(j.Args, method, vmomi)
			if err != nil {
				return err
			}
			if !anonymous {
				// Without a session the ticket would be anonymous.
				if _, err := j.Own(ctx); err != nil {
					return err
				}
			}
			ticket, err := j.AcquireGenericServiceTicket(ctx, spec)
			if err != nil {
				return err
			}
			return j.Out.Show(ticket, func() *command.Table {
				t := &command.Table{}
				t.Add("Ticket:", ticket.Id)
				t.Add("Type:", ticket.TicketType)
				t.Add("Host:", ticket.HostName)
				t.Add("SHA-1:", ticket.SslThumbprint)
				for _, c := range ticket.CertThumbprintList {
					t.Add(c.HashAlgorithm+":", c.Thumbprint)
				}
				return t
			})
		})
	cmd.Long = cmd.Short + `.

For an HTTP request, give its URL, and its method with --method. The request
must send the ticket as the cookie vmware_cgi_ticket. With --vmomi cloneSession
the ticket is a clone ticket.`
	cmd.Flags().StringVar(&method, "method", "", "method of the HTTP request, such as GET (default: any method)")
	cmd.Flags().StringVar(&vmomi, "vmomi", "", "API method that the ticket allows: cloneSession")
	cmd.Flags().BoolVar(&anonymous, "anonymous", false, "do not log in for the ticket")
	return cmd
}

func serviceRequest(args []string, method, vmomi string) (types.BaseSessionManagerServiceRequestSpec, error) {
	switch {
	case vmomi != "" && (len(args) > 0 || method != ""):
		return nil, command.Usage("--vmomi can't be used with a URL or --method")
	case vmomi != "":
		return &types.SessionManagerVmomiServiceRequestSpec{Method: vmomi}, nil
	case len(args) == 0:
		return nil, command.Usage("give the URL of the request, or use --vmomi")
	}
	if method != "" && !strings.HasPrefix(method, "http") {
		// The API's name for GET is httpGet.
		method = "http" + strings.ToUpper(method[:1]) + strings.ToLower(method[1:])
	}
	return &types.SessionManagerHttpServiceRequestSpec{Method: method, Url: args[0]}, nil
}

func (a *app) localTicket() *cobra.Command {
	cmd := a.command("local-ticket USER", "Make the server write a one-time password to a file that only USER can read",
		cobra.ExactArgs(1),
		func(ctx context.Context, j *job) error {
			ticket, err := j.AcquireLocalTicket(ctx, j.Args[0])
			if err != nil {
				return err
			}
			return j.Out.Show(ticket, func() *command.Table {
				t := &command.Table{}
				t.Add("User:", ticket.UserName)
				t.Add("Password in:", ticket.PasswordFilePath)
				return t
			})
		})
	cmd.Long = cmd.Short + `.

USER is an account of the server's operating system. The server must run on this
machine; use --url unix:///path/to/its/socket. 'vigate login --local' also logs
in with the password.`
	return cmd
}
