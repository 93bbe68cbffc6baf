// Package session has the commands that find and end sessions: vigate session ls, rm and top. They select
// sessions by user, client, address, login method, idle time and age.
//
// [Commands] makes them, for the group of commands in package cli. They use only the property sessionList of
// SessionManager and its method TerminateSession, which every server of VI JSON has. So they work with vCenter 8.0 U1
// and later as well as with vigate and its fronts. If the server is vigate, they also show what other servers do not
// report: login methods, limits, and the accounts of a front.
//
// A selector, the fields of a session and the matching of patterns are in selector.go; the other files have a
// command each.
package session

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/cli/command"
	"github.com/vigate/vigate/internal/cli/upstream"
	"github.com/vigate/vigate/internal/principal"
)

// Commands returns the commands.
func Commands(set *command.Set) []*cobra.Command {
	a := app{set}
	return []*cobra.Command{a.list(), a.remove(), a.top()}
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

// Keys returns the keys of the live sessions for shell completions.
func Keys(ctx context.Context, r *command.Run) ([]string, error) {
	list, err := r.SessionList(ctx)
	var keys []string
	for _, s := range list {
		keys = append(keys, s.Key+"\t"+command.Clean(s.UserName+" "+s.IpAddress))
	}
	return keys, err
}

// session is a live session.
type session struct {
	types.UserSession
	idle    time.Duration // since its last call
	age     time.Duration // since its login
	current bool          // it is the session of this command
	method  string        // of its login, if that was asked for

	user, client string // folded
}

// facts names an object that only vigate has. The server's list of managers does not include it.
var facts = types.ManagedObjectReference{Type: "VigateSessions", Value: "sessions"}

// read returns the live sessions of the server, with their login methods if methods is true.
func (j *job) read(ctx context.Context, methods bool) ([]session, error) {
	list, err := j.SessionList(ctx)
	if err != nil {
		return nil, err
	}
	own, err := j.CurrentSession(ctx)
	if err != nil {
		return nil, err
	}
	var method map[string]string
	if methods {
		if method, err = j.methods(ctx); err != nil {
			return nil, j.untold(err)
		}
	}
	now := newest(list)
	folded := folder{}
	all := make([]session, len(list))
	for i, s := range list {
		all[i] = session{
			UserSession: s, idle: max(0, now.Sub(s.LastActiveTime)), age: max(0, now.Sub(s.LoginTime)),
			current: own != nil && own.Key == s.Key, method: method[s.Key],
			user: folded.fold(s.UserName), client: folded.fold(s.UserAgent),
		}
	}
	return all, nil
}

// folder are folded texts. Many sessions have the same user and client, which are folded once.
type folder map[string]string

func (f folder) fold(text string) string {
	folded, known := f[text]
	if !known {
		folded = principal.Fold(text)
		f[text] = folded
	}
	return folded
}

// methods returns the login methods of the sessions, by their keys.
func (j *job) methods(ctx context.Context) (map[string]string, error) {
	var logins []struct {
		Key    string `json:"key"`
		Method string `json:"method"`
	}
	if err := j.Property(ctx, facts, "logins", &logins); err != nil {
		return nil, err
	}
	method := make(map[string]string, len(logins))
	for _, l := range logins {
		method[l.Key] = l.Method
	}
	return method, nil
}

// newest returns the time of the last activity of any session. This is the current time of the server's clock,
// because the call that reads the list is itself an activity. The server measures idle times by that clock. The clock
// of this machine may differ, and so may the clock of the upstream of a front.
func newest(list []types.UserSession) (now time.Time) {
	for _, s := range list {
		for _, t := range []time.Time{s.LastActiveTime, s.LoginTime} {
			if t.After(now) {
				now = t
			}
		}
	}
	return now
}

// untold explains the error of a server that has no such object.
func (j *job) untold(err error) error {
	if command.IsAbsent(err) {
		return fmt.Errorf("%s does not say how sessions logged in: only vigate does", j.URL())
	}
	return err
}

// others returns the sessions but the own one.
func others(all []session) []session {
	return slices.DeleteFunc(slices.Clone(all), func(s session) bool { return s.current })
}

// serving is what serves the sessions of a front, by their keys. It is empty at other servers.
type serving map[string]upstream.Client

// serving asks the server what serves the sessions.
func (j *job) serving(ctx context.Context, all []session) serving {
	clients := upstream.Clients(ctx, j.Run)
	if !slices.ContainsFunc(all, func(s session) bool { return clients[s.Key].Key != "" }) {
		return nil // they are sessions of other fronts
	}
	return clients
}
