package session

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/cli/command"
)

// The output formats of lists, besides the usual ones.
const (
	wideFormat = "wide" // a table with more columns
	csvFormat  = "csv"
	keysFormat = "keys" // the keys alone, one a line
)

func (a *app) list() *cobra.Command {
	q := &selector{}
	cmd := a.command("ls [flags]", "List the live sessions; * marks your own", noArgs(q.check),
		func(ctx context.Context, j *job) error {
			all, err := j.read(ctx, q.needsMethods())
			if err != nil {
				return err
			}
			chosen := q.arrange(q.choose(all))
			if j.Out.Format == keysFormat {
				return j.keys(chosen)
			}
			return j.show(ctx, chosen)
		})
	cmd.Aliases = []string{"list"}
	q.define(cmd)
	q.defineOrder(cmd)
	a.Formats(cmd, wideFormat, csvFormat, keysFormat)
	cmd.Long = cmd.Short + `.

` + help + `

At a front, ACCOUNT is the account with which the session acts at the upstream.
UPSTREAM SESSION is the session at the upstream that has the session's objects.
If it is -, any session of the account serves the session. In JSON, a session is
that of the API with two more members: idleSeconds, and current, which marks
your own session.`
	cmd.Example = `  vigate session ls --user 'svc-*' --idle 1h
  vigate session ls --client 'terraform*' --sort user,-calls -o wide
  vigate session ls --older 1d --sort idle --limit 20
  vigate session ls --address '192.0.2.*' -o keys | xargs vigate session rm`
	return cmd
}

// noArgs returns a check of a command without arguments.
func noArgs(check func() error) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := cobra.NoArgs(cmd, args); err != nil {
			return err
		}
		return check()
	}
}

// show writes the sessions in the format that the user chose, but keysFormat.
func (j *job) show(ctx context.Context, list []session) error {
	by := j.serving(ctx, list)
	if j.Out.Format == wideFormat || j.Out.Format == csvFormat {
		if err := j.addMethods(ctx, list); err != nil {
			return err
		}
	}
	switch j.Out.Format {
	case command.JSONFormat:
		return j.Out.Encode(shown(list, by), "  ")
	case csvFormat:
		return j.Out.CSV(values(list, by))
	}
	return j.Out.Table(j.table(list, by))
}

// addMethods adds the login methods where the server tells them.
func (j *job) addMethods(ctx context.Context, list []session) error {
	if slices.ContainsFunc(list, func(s session) bool { return s.method != "" }) {
		return nil
	}
	method, err := j.methods(ctx)
	if err != nil && !command.IsAbsent(err) {
		return err
	}
	for i, s := range list {
		list[i].method = method[s.Key]
	}
	return nil
}

func (j *job) keys(list []session) error {
	keys := make([]string, len(list))
	for i, s := range list {
		keys[i] = s.Key
	}
	return j.Out.Texts(keys)
}

// table returns the sessions as people read them.
func (j *job) table(list []session, by serving) *command.Table {
	wide := j.Out.Format == wideFormat
	t := &command.Table{Header: []string{"", "KEY", "USER"}}
	if len(by) > 0 {
		t.Header = append(t.Header, "ACCOUNT", "UPSTREAM SESSION")
	}
	t.Header = append(t.Header, "ADDRESS", "SINCE", "IDLE", "CALLS")
	if wide {
		t.Header = append(t.Header, "METHOD", "LOCALE", "FULL NAME")
	}
	t.Header = append(t.Header, "CLIENT")
	for _, s := range list {
		mark := " "
		if s.current {
			mark = "*"
		}
		row := []string{mark, s.Key, s.UserName}
		if len(by) > 0 {
			row = append(row, cmp.Or(by[s.Key].Account, "-"), cmp.Or(by[s.Key].Session, "-"))
		}
		row = append(row, cmp.Or(s.IpAddress, "-"), command.Moment(s.LoginTime), command.Span(s.idle),
			fmt.Sprint(s.CallCount))
		if wide {
			row = append(row, cmp.Or(s.method, "-"), s.Locale, cmp.Or(s.FullName, "-"))
		}
		t.Add(append(row, s.UserAgent)...)
	}
	return t
}

// values returns the sessions for programs that read CSV. The columns are the same at every server.
func values(list []session, by serving) *command.Table {
	t := &command.Table{Header: []string{"key", "userName", "fullName", "ipAddress", "userAgent", "loginTime",
		"lastActiveTime", "idleSeconds", "callCount", "locale", "extensionSession", "current", "method", "account",
		"upstreamSession"}}
	for _, s := range list {
		t.Add(s.Key, s.UserName, s.FullName, s.IpAddress, s.UserAgent, command.Moment(s.LoginTime),
			command.Moment(s.LastActiveTime), fmt.Sprint(seconds(s.idle)), fmt.Sprint(s.CallCount), s.Locale,
			fmt.Sprint(s.ExtensionSession), fmt.Sprint(s.current), s.method, by[s.Key].Account, by[s.Key].Session)
	}
	return t
}

// shownSession is a session as JSON: that of the API, with more members.
type shownSession struct {
	TypeName string `json:"_typeName"`
	types.UserSession
	IdleSeconds     int64  `json:"idleSeconds"`
	Current         bool   `json:"current"`
	Method          string `json:"method,omitempty"`
	Account         string `json:"account,omitempty"`
	UpstreamSession string `json:"upstreamSession,omitempty"`
}

func shown(list []session, by serving) []shownSession {
	all := make([]shownSession, len(list))
	for i, s := range list {
		all[i] = shownSession{"UserSession", s.UserSession, seconds(s.idle), s.current, s.method,
			by[s.Key].Account, by[s.Key].Session}
	}
	return all
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }
