package session

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/cli/command"
)

// overview are the flags of top.
type overview struct {
	selector
	by    string
	rows  int
	every time.Duration
	once  bool
}

// holders are what sessions can be grouped by.
var holders = map[string]func(*session) string{
	"user":    func(s *session) string { return s.UserName },
	"client":  func(s *session) string { return s.UserAgent },
	"address": func(s *session) string { return s.IpAddress },
	"method":  func(s *session) string { return s.method },
}

var holderNames = []string{"user", "client", "address", "method"}

func (a *app) top() *cobra.Command {
	f := &overview{}
	cmd := a.command("top [flags]", "Show who holds how many sessions", noArgs(f.check),
		func(ctx context.Context, j *job) error {
			return j.top(ctx, f)
		})
	f.define(cmd)
	cmd.Flags().StringVar(&f.by, "by", "user", "who: "+strings.Join(holderNames, ", "))
	cmd.Flags().IntVar(&f.rows, "limit", defaultRows, "rows of the table (0: all); JSON has all without this flag")
	cmd.Flags().DurationVar(&f.every, "every", 2*time.Second, "how often the table is refreshed on a terminal")
	cmd.Flags().BoolVar(&f.once, "once", false, "show the table once, also on a terminal")
	command.Choices(cmd, "by", holderNames...)
	cmd.Long = cmd.Short + `, those with most first.

On a terminal, the table is refreshed until Ctrl-C; otherwise it is shown once.
IDLE has the quartiles of the times since the last call: a quarter of the
sessions is idle for at most 25%, half of them for at most 50%, three quarters
for at most 75%. OLDEST is the time since the first login, and CALLS the median
of the calls of a session. OF LIMIT and OF USER'S LIMIT are the percentages of
the maximum numbers of sessions, of all users and of one user, if the server
reports them. Many sessions with few calls and long idle times are a leak.

` + help
	cmd.Example = `  vigate session top
  vigate session top --by client --user svc-backup
  vigate session top --by address --idle 10m --once
  vigate session top -o json`
	return cmd
}

const (
	defaultRows = 20
	leastEvery  = 100 * time.Millisecond
)

func (f *overview) check() error {
	switch {
	case holders[f.by] == nil:
		return command.Usage("--by: %q is not one of %s", f.by, strings.Join(holderNames, ", "))
	case f.rows < 0:
		return command.Usage("--limit must not be negative")
	case f.every < leastEvery:
		return command.Usage("--every must be at least %s", leastEvery)
	}
	return f.selector.check()
}

// top shows the overview, again and again on a terminal.
func (j *job) top(ctx context.Context, f *overview) error {
	if f.once || j.Out.JSON || !j.Screen() {
		s, err := j.survey(ctx, f)
		if err != nil {
			return err
		}
		if j.Out.JSON {
			return j.Out.Encode(s, "  ")
		}
		return s.show(j.Out, f)
	}
	tick := time.NewTicker(f.every)
	defer tick.Stop()
	for {
		s, err := j.survey(ctx, f)
		if err == nil {
			err = j.Repaint(func(out command.Output) error { return s.show(out, f) })
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// limits are how many sessions there may be. A member that is 0 is not known.
type limits struct {
	Sessions int `json:"sessions,omitempty"`
	PerUser  int `json:"perUser,omitempty"`
	// Live is the number of sessions that the limit Sessions counts: at a front, it includes the sessions of vigate
	// and its other fronts.
	Live        int   `json:"live,omitempty"`
	IdleSeconds int64 `json:"idleSeconds,omitempty"` // of the idle time-out
}

// survey is the overview in JSON.
type survey struct {
	Sessions int      `json:"sessions"`
	Users    int      `json:"users"`
	Limits   limits   `json:"limits"`
	By       string   `json:"by"`
	Groups   []*group `json:"groups"`
}

// group are the sessions of one holder.
type group struct {
	Name     string `json:"name"`
	Sessions int    `json:"sessions"`
	// The shares are of Limits.Sessions and Limits.PerUser, 1 being the whole.
	OfLimit     *float64  `json:"ofLimit,omitempty"`
	OfUserLimit *float64  `json:"ofUserLimit,omitempty"`
	Idle        quartiles `json:"idleSeconds"`
	Oldest      int64     `json:"oldestSeconds"`
	Calls       int64     `json:"medianCalls"`

	idle  []time.Duration
	calls []int64
}

// quartiles are the times that a quarter, half, three quarters and all of the sessions do not exceed.
type quartiles struct {
	Quarter int64 `json:"p25"`
	Half    int64 `json:"p50"`
	Three   int64 `json:"p75"`
	Longest int64 `json:"max"`
}

// survey reads the sessions and groups them.
func (j *job) survey(ctx context.Context, f *overview) (*survey, error) {
	all, err := j.read(ctx, f.by == "method" || f.needsMethods())
	if err != nil {
		return nil, err
	}
	s := &survey{By: f.by, Limits: j.limits(ctx)}
	chosen := f.choose(all)
	s.Sessions, s.Users = len(chosen), users(chosen)
	s.Groups = grouped(chosen, f.by, s.Limits)
	if j.Out.JSON && f.rows != defaultRows && f.rows > 0 {
		s.Groups = s.Groups[:min(f.rows, len(s.Groups))]
	}
	return s, nil
}

// grouped returns the groups, the largest first.
func grouped(list []session, by string, l limits) []*group {
	of := map[string]*group{}
	groups := []*group{}
	for i := range list {
		s := &list[i]
		name := holders[by](s)
		key := name
		if by == "user" {
			key = s.user
		}
		g := of[key]
		if g == nil {
			g = &group{Name: name}
			of[key], groups = g, append(groups, g)
		}
		g.Sessions++
		g.Oldest = max(g.Oldest, seconds(s.age))
		g.idle, g.calls = append(g.idle, s.idle), append(g.calls, s.CallCount)
	}
	for _, g := range groups {
		slices.Sort(g.idle)
		slices.Sort(g.calls)
		g.Idle = quartiles{
			seconds(rank(g.idle, 1)), seconds(rank(g.idle, 2)), seconds(rank(g.idle, 3)), seconds(rank(g.idle, 4)),
		}
		g.Calls = rank(g.calls, 2)
		g.idle, g.calls = nil, nil
		g.OfLimit = share(g.Sessions, l.Sessions)
		if by == "user" {
			g.OfUserLimit = share(g.Sessions, l.PerUser)
		}
	}
	slices.SortFunc(groups, func(a, b *group) int {
		return cmp.Or(cmp.Compare(b.Sessions, a.Sessions), cmp.Compare(a.Name, b.Name))
	})
	return groups
}

// rank returns the value that so many quarters of the sorted values do not exceed.
func rank[T any](sorted []T, quarters int) T { return sorted[(len(sorted)*quarters+3)/4-1] }

func share(n, limit int) *float64 {
	if limit <= 0 {
		return nil
	}
	return new(float64(n) / float64(limit))
}

// limits asks the server for its limits. Only vigate reports all of them; vCenter reports one.
func (j *job) limits(ctx context.Context) limits {
	var own struct {
		MaxSessions        int   `json:"maxSessions"`
		MaxSessionsPerUser int   `json:"maxSessionsPerUser"`
		SessionCount       int   `json:"sessionCount"`
		IdleSeconds        int64 `json:"idleSeconds"`
	}
	if err := j.Property(ctx, facts, "limits", &own); err == nil {
		return limits{own.MaxSessions, own.MaxSessionsPerUser, own.SessionCount, own.IdleSeconds}
	}
	content, err := j.ServiceContent(ctx)
	if err != nil || content.Setting == nil {
		return limits{}
	}
	var l limits
	for name, set := range map[string]func(int64){
		"config.vmacore.soap.maxSessionCount": func(n int64) { l.Sessions = int(n) },
		"config.vmacore.soap.sessionTimeout":  func(n int64) { l.IdleSeconds = 60 * n },
	} {
		var found []types.BaseOptionValue
		if err := j.Invoke(ctx, *content.Setting, "QueryOptions", &types.QueryOptions{Name: name}, &found); err != nil {
			continue // the server has no such option
		}
		for _, o := range found {
			switch n := o.GetOptionValue().Value.(type) {
			case int32:
				set(int64(n))
			case int64:
				set(n)
			}
		}
	}
	return l
}

// show writes the overview for people.
func (s *survey) show(out command.Output, f *overview) error {
	if err := out.Line(s.title()); err != nil {
		return err
	}
	l := s.Limits
	t := &command.Table{Header: []string{"SESSIONS"}}
	if l.Sessions > 0 {
		t.Header = append(t.Header, "OF LIMIT")
	}
	if s.By == "user" && l.PerUser > 0 {
		t.Header = append(t.Header, "OF USER'S LIMIT")
	}
	t.Header = append(t.Header, "IDLE 25%", "50%", "75%", "MAX", "OLDEST", "CALLS", strings.ToUpper(s.By))
	shown := s.Groups
	if f.rows > 0 {
		shown = shown[:min(f.rows, len(shown))]
	}
	for _, g := range shown {
		row := []string{thousands(g.Sessions)}
		for _, part := range []*float64{g.OfLimit, g.OfUserLimit} {
			if part != nil {
				row = append(row, percent(*part))
			}
		}
		for _, n := range []int64{g.Idle.Quarter, g.Idle.Half, g.Idle.Three, g.Idle.Longest, g.Oldest} {
			row = append(row, command.Span(time.Duration(n)*time.Second))
		}
		t.Add(append(row, thousands(int(g.Calls)), cut(cmp.Or(g.Name, "-")))...)
	}
	if err := out.Table(t); err != nil {
		return err
	}
	if more := s.Groups[len(shown):]; len(more) > 0 {
		n := 0
		for _, g := range more {
			n += g.Sessions
		}
		return out.Line(fmt.Sprintf("and %s more with %s", thousands(len(more)), of(n, "session")))
	}
	return nil
}

// title says how many sessions there are, and may be.
func (s *survey) title() string {
	text := of(s.Sessions, "session") + " of " + of(s.Users, "user")
	l := s.Limits
	if l.Sessions > 0 {
		text += "; limit of all " + thousands(l.Sessions)
		if l.Live > 0 {
			text += " (" + percent(*share(l.Live, l.Sessions)) + " used)"
		}
	}
	if l.PerUser > 0 {
		text += ", of a user " + thousands(l.PerUser)
	}
	if l.IdleSeconds > 0 {
		text += "; idle time-out " + command.Span(time.Duration(l.IdleSeconds)*time.Second)
	}
	return text
}

func percent(part float64) string {
	if part > 0 && part < 0.001 {
		return "<0.1%"
	}
	return fmt.Sprintf("%.1f%%", 100*part)
}

// maxName is how many characters of a name a table shows. Clients choose their user agents.
const maxName = 80

func cut(name string) string {
	if utf8.RuneCountInString(name) <= maxName {
		return name
	}
	return string([]rune(name)[:maxName-1]) + "…"
}
