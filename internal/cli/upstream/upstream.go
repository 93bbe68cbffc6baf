// Package upstream has the commands for the servers behind a vigate: vigate upstream ls, show and test. They
// read the managed object UpstreamManager of vigate's own API, which no other server has.
//
// [Command] makes the group of commands. The package does not know the server: it has the members of the API's
// types that it shows.
package upstream

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/cli/command"
)

// Command returns the group of commands.
func Command(set *command.Set) *cobra.Command {
	a := app{set}
	return command.Group("upstream", "Show and test the servers behind this one", a.list(), a.show(), a.test())
}

// app makes the commands of one root command.
type app struct{ *command.Set }

// job is one run of a command.
type job struct{ *command.Run }

// command makes a command that calls the server.
func (a *app) command(
	use, short string, args cobra.PositionalArgs, do func(context.Context, *job) error,
) *cobra.Command {
	return a.Connected(use, short, args, func(ctx context.Context, r *command.Run) error { return do(ctx, &job{r}) })
}

// complete returns the shell completion of a command with the name of an upstream.
func (a *app) complete() cobra.CompletionFunc {
	return a.Complete(false, func(ctx context.Context, r *command.Run) ([]string, error) {
		return names(ctx, &job{r})
	})
}

// manager names an object that only vigate has. The server's list of managers does not include
// it.
var manager = types.ManagedObjectReference{Type: "UpstreamManager", Value: "upstreams"}

// state has the members of the API type VigateUpstream.
type state struct {
	Name      string     `json:"name"`
	URL       string     `json:"url"`
	Mode      string     `json:"mode"`
	Available bool       `json:"available"`
	Error     string     `json:"error,omitempty"`
	Since     *time.Time `json:"since,omitempty"`
	APIType   string     `json:"apiType,omitempty"`
	Version   string     `json:"version,omitempty"`
	Build     string     `json:"build,omitempty"`

	MaxSessions   int32 `json:"maxSessions"`
	MaxRequests   int32 `json:"maxRequests"`
	MaxWaits      int32 `json:"maxWaits"`
	Places        int32 `json:"places"`
	GhostSessions int32 `json:"ghostSessions"`
	Requests      int32 `json:"requests"`
	Waits         int32 `json:"waits"`
	Queued        int32 `json:"queued"`
	QueuedWaits   int32 `json:"queuedWaits"`

	Account []account `json:"account,omitempty"`
	Session []session `json:"session,omitempty"`

	LoginCount       int64 `json:"loginCount"`
	FailedLoginCount int64 `json:"failedLoginCount"`
	LostSessionCount int64 `json:"lostSessionCount"`
	RefusedCount     int64 `json:"refusedCount"`
	RequestCount     int64 `json:"requestCount"`
}

// account has the members of the API type VigateUpstreamAccount.
type account struct {
	Name         string     `json:"name"`
	UserName     string     `json:"userName"`
	PassThrough  bool       `json:"passThrough"`
	SessionCount int32      `json:"sessionCount"`
	Error        string     `json:"error,omitempty"`
	NextLogin    *time.Time `json:"nextLogin,omitempty"`
}

// session has the members of the API type VigateUpstreamSession.
type session struct {
	ID        string    `json:"id"`
	Account   string    `json:"account"`
	Locale    string    `json:"locale,omitempty"`
	Requests  int32     `json:"requests"`
	Owned     int32     `json:"owned"`
	LoginTime time.Time `json:"loginTime"`
	LastUsed  time.Time `json:"lastUsed"`
	Ending    bool      `json:"ending"`
}

// finding has the members of the API type VigateUpstreamFinding.
type finding struct {
	Subject string `json:"subject"`
	Found   string `json:"found,omitempty"`
	Error   string `json:"error,omitempty"`
}

// testUpstream is the request of TestUpstream.
type testUpstream struct {
	This types.ManagedObjectReference `json:"-"`
	Name string                       `json:"name"`
}

// upstreams returns the upstreams of the server.
func (j *job) upstreams(ctx context.Context) ([]state, error) {
	var list []state
	err := j.Property(ctx, manager, "upstreams", &list)
	return list, j.absent(err)
}

// absent returns the error of a call of UpstreamManager. It explains the error of a server that has no such
// object.
func (j *job) absent(err error) error {
	if command.IsFault[*types.InvalidType](err) || command.IsFault[*types.ManagedObjectNotFound](err) {
		return command.NotFound("%s has no upstreams; the commands need the URL of vigate itself, not that of a front",
			j.URL())
	}
	return err
}

// unknown is the error for a name that no upstream has.
func unknown(name string) error {
	return command.NotFound("there is no upstream %q; 'vigate upstream ls' lists the upstreams", name)
}

func names(ctx context.Context, j *job) ([]string, error) {
	list, err := j.upstreams(ctx)
	var all []string
	for _, u := range list {
		all = append(all, u.Name+"\t"+command.Clean(u.URL))
	}
	return all, err
}

func (a *app) list() *cobra.Command {
	cmd := a.command("ls [flags]", "List the upstreams", cobra.NoArgs, func(ctx context.Context, j *job) error {
		list, err := j.upstreams(ctx)
		if err != nil {
			return err
		}
		return j.Out.Show(list, func() *command.Table {
			t := &command.Table{Header: []string{"NAME", "STATE", "VERSION", "SESSIONS", "REQUESTS", "WAITS", "QUEUED",
				"URL"}}
			for _, u := range list {
				t.Add(u.Name, u.health(), u.product(), of(u.Places, u.MaxSessions), of(u.Requests, u.MaxRequests),
					of(u.Waits, u.MaxWaits), fmt.Sprint(u.Queued+u.QueuedWaits), u.URL)
			}
			return t
		})
	})
	cmd.Long = cmd.Short + `.

SESSIONS, REQUESTS and WAITS are the numbers that this server has now at the
upstream, and their limits. QUEUED is the number of calls that wait for a free
place.`
	cmd.Aliases = []string{"list"}
	return cmd
}

func (a *app) show() *cobra.Command {
	cmd := a.command("show NAME", "Show an upstream with its accounts and sessions", cobra.ExactArgs(1),
		func(ctx context.Context, j *job) error {
			list, err := j.upstreams(ctx)
			if err != nil {
				return err
			}
			i := slices.IndexFunc(list, func(u state) bool { return u.Name == j.Args[0] })
			if i < 0 {
				return unknown(j.Args[0])
			}
			return j.show(list[i])
		})
	cmd.Long = cmd.Short + `.

SESSION is the name that vigate gives a session at the upstream; its key is a
secret. OWNED is the number of objects and clients that are tied to it. Counts
are since the start of the server.`
	cmd.ValidArgsFunction = a.complete()
	return cmd
}

func (j *job) show(u state) error {
	if j.Out.JSON {
		return j.Out.Encode(u, "  ")
	}
	for i, t := range []*command.Table{u.facts(), u.accounts(), u.sessions(j.Out)} {
		if t.Header != nil && len(t.Rows) == 0 {
			continue
		}
		if i > 0 {
			if err := j.Out.Line(""); err != nil {
				return err
			}
		}
		if err := j.Out.Table(t); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) test() *cobra.Command {
	cmd := a.command("test NAME", "Test whether an upstream can be used", cobra.ExactArgs(1),
		func(ctx context.Context, j *job) error {
			var all []finding
			err := j.Invoke(ctx, manager, "TestUpstream", &testUpstream{Name: j.Args[0]}, &all)
			if command.IsFault[*types.NotFound](err) {
				return unknown(j.Args[0])
			}
			if err := j.absent(err); err != nil {
				return err
			}
			failed := 0
			if err := j.Out.Show(all, func() *command.Table {
				t := &command.Table{}
				for _, f := range all {
					result := f.Found
					if f.Error != "" {
						result = "FAILED: " + f.Error
					}
					t.Add(f.Subject+":", result)
				}
				return t
			}); err != nil {
				return err
			}
			for _, f := range all {
				if f.Error != "" {
					failed++
				}
			}
			if failed > 0 {
				return fmt.Errorf("%d of the tests of upstream %q failed", failed, j.Args[0])
			}
			return nil
		})
	cmd.Long = cmd.Short + `: its certificate, its version,
and a login with each of its accounts. The sessions of these logins end at once.
If a test fails, the exit code is 1.`
	cmd.ValidArgsFunction = a.complete()
	return cmd
}

// of shows how much of a limit is used.
func of(used, most int32) string { return fmt.Sprintf("%d/%d", used, most) }

func (u *state) health() string {
	if u.Available {
		return "ok"
	}
	return "DOWN"
}

func (u *state) product() string {
	if u.Version == "" {
		return "unknown"
	}
	return u.APIType + " " + u.Version
}

// facts shows the properties of the upstream, without its lists.
func (u *state) facts() *command.Table {
	t := &command.Table{}
	t.Add("Name:", u.Name)
	t.Add("URL:", u.URL)
	t.Add("State:", u.health())
	if u.Error != "" {
		t.Add("Error:", u.Error)
	}
	if u.Since != nil {
		t.Add("Since:", command.Moment(*u.Since))
	}
	t.Add("Version:", u.product())
	if u.Build != "" {
		t.Add("Build:", u.Build)
	}
	t.Add("Mode:", u.Mode)
	t.Add("Sessions:", of(u.Places, u.MaxSessions))
	if u.GhostSessions > 0 {
		t.Add("Lost track of:", fmt.Sprint(u.GhostSessions))
	}
	t.Add("Requests:", of(u.Requests, u.MaxRequests))
	t.Add("Waits:", of(u.Waits, u.MaxWaits))
	t.Add("Queued:", fmt.Sprint(u.Queued+u.QueuedWaits))
	t.Add("Requests served:", fmt.Sprint(u.RequestCount))
	t.Add("Refused:", fmt.Sprint(u.RefusedCount))
	t.Add("Logins:", fmt.Sprint(u.LoginCount))
	t.Add("Failed logins:", fmt.Sprint(u.FailedLoginCount))
	t.Add("Lost sessions:", fmt.Sprint(u.LostSessionCount))
	return t
}

func (u *state) accounts() *command.Table {
	t := &command.Table{Header: []string{"ACCOUNT", "USER", "SESSIONS", "NEXT LOGIN", "ERROR"}}
	for _, a := range u.Account {
		next := "-"
		if a.NextLogin != nil {
			next = command.Moment(*a.NextLogin)
		}
		t.Add(a.Name, a.UserName, fmt.Sprint(a.SessionCount), next, a.Error)
	}
	return t
}

func (u *state) sessions(out command.Output) *command.Table {
	t := &command.Table{Header: []string{"SESSION", "ACCOUNT", "LOCALE", "SINCE", "IDLE", "REQUESTS", "OWNED",
		"ENDING"}}
	for _, s := range u.Session {
		t.Add(s.ID, s.Account, s.Locale, command.Moment(s.LoginTime), out.Age(s.LastUsed), fmt.Sprint(s.Requests),
			fmt.Sprint(s.Owned), command.YesNo(s.Ending))
	}
	return t
}

// Client is a client session of a front, with the account and the session at the upstream that serve it.
type Client struct {
	Key     string `json:"key"` // of the client session
	Account string `json:"account"`
	// Session is empty if the client session is tied to none, so that any of the account's serves it.
	Session string `json:"session,omitempty"`
}

// Clients returns the client sessions that the server serves with upstreams, by their keys. It is empty if the server
// has no upstreams, or does not report them.
func Clients(ctx context.Context, r *command.Run) map[string]Client {
	var list []Client
	if err := r.Property(ctx, manager, "clients", &list); err != nil {
		return nil
	}
	all := map[string]Client{}
	for _, c := range list {
		all[c.Key] = c
	}
	return all
}
