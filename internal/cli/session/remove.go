package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/vigate/vigate/internal/cli/command"
)

// removal are the flags of rm.
type removal struct {
	selector
	yes, dryRun bool
}

func (a *app) remove() *cobra.Command {
	f := &removal{}
	cmd := a.command("rm [KEY…] [flags]", "End sessions by their keys, or those that the flags select",
		func(_ *cobra.Command, args []string) error { return f.check(a, args) },
		func(ctx context.Context, j *job) error {
			if len(j.Args) > 0 {
				// Each key needs its own call. If one call had all keys, a failure would not show which key
				// caused it.
				return j.Each(func(key string) error { return j.TerminateSession(ctx, key) })
			}
			return j.remove(ctx, f)
		})
	cmd.Aliases = []string{"terminate"}
	f.define(cmd)
	f.defineOrder(cmd)
	cmd.Flags().BoolVar(&f.all, "all", false, "allow flags that select all sessions except your own")
	cmd.Flags().BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "only show which sessions would be ended")
	a.Formats(cmd, wideFormat, csvFormat, keysFormat)
	cmd.ValidArgsFunction = a.Complete(true, Keys)
	cmd.Long = cmd.Short + `.

With keys, it ends these sessions. With flags, it shows the selected sessions,
asks for confirmation on the terminal, and ends them, several at a time. After
the confirmation it selects again, and does not end sessions that no longer fit.
A session that has ended by itself is no error. At the end it prints how many
sessions it ended, how many had already ended, and how many the server refused
to end. If it refused any, or some were not tried, the exit code is not 0. Flags
never select your own session.

` + help + `

Without a terminal, --yes or --dry-run is needed. Flags that select all sessions
except your own need --all. On a vCenter, select users or clients rather than
only times, because its own services have sessions too.`
	cmd.Example = `  vigate session rm 52f1a2b3-0000-4000-8000-000000000001
  vigate session rm --user svc-backup --idle 1h --dry-run
  vigate session rm --user svc-backup --idle 1h
  vigate session rm --client 'python-requests*' --older 1d --yes`
	return cmd
}

// check returns an error for arguments and flags that do not fit together.
func (f *removal) check(a *app, args []string) error {
	switch {
	case len(args) > 0 && (f.given() || f.all || f.limit != 0 || f.dryRun):
		return command.Usage("keys and flags that select sessions exclude each other")
	case len(args) > 0:
		return nil
	case !f.given() && !f.all:
		return command.Usage("give keys, or flags that select sessions")
	case f.boundless() && !f.all:
		return command.Usage("the flags select every session; add --all if that is meant")
	case !f.yes && !f.dryRun && !a.CanAsk():
		return command.Usage("there is no terminal to ask on; add --yes, or --dry-run to see what would be ended")
	}
	return f.selector.check()
}

// remove ends the sessions that the flags select.
func (j *job) remove(ctx context.Context, f *removal) error {
	all, err := j.read(ctx, f.needsMethods())
	if err != nil {
		return err
	}
	all = others(all)
	chosen := f.arrange(f.choose(all))
	if len(chosen) == 0 && j.people() {
		return j.Out.Line("no session is selected")
	}
	if err := j.preview(ctx, chosen, f.dryRun); err != nil {
		return err
	}
	if len(chosen) == len(all) && users(all) > 1 && !f.all {
		return command.Usage("the flags leave out no session; add --all if that is meant")
	}
	if f.dryRun {
		return nil
	}
	done := &result{Refused: []refused{}}
	if len(chosen) > 0 && !f.yes {
		if chosen, err = j.ask(ctx, f, chosen, done); err != nil {
			return err
		}
	}
	j.end(ctx, chosen, done)
	return j.report(done)
}

// ask asks whether the sessions may be ended. It returns the sessions that the selector still selects after the
// answer, because the user may have taken a while.
func (j *job) ask(ctx context.Context, f *removal, chosen []session, done *result) ([]session, error) {
	yes, err := j.Confirm(ctx, "End "+of(len(chosen), "session")+" of "+of(users(chosen), "user")+"?")
	if err != nil {
		return nil, err
	}
	if !yes {
		return nil, errors.New("not confirmed; no session was ended")
	}
	now, err := j.read(ctx, f.needsMethods())
	if err != nil {
		return nil, err
	}
	alive, fit := map[string]bool{}, map[string]bool{}
	for _, s := range now {
		alive[s.Key] = true
	}
	for _, s := range f.choose(now) {
		fit[s.Key] = true
	}
	return slices.DeleteFunc(chosen, func(s session) bool {
		switch {
		case !alive[s.Key]:
			done.Gone++
		case !fit[s.Key]:
			done.Spared++
		}
		return !fit[s.Key]
	}), nil
}

// people reports whether the output is for people.
func (j *job) people() bool { return j.Out.Format == command.TableFormat || j.Out.Format == wideFormat }

// maxPreview is how many sessions a table shows before they are ended.
const maxPreview = 20

// preview shows the sessions that would be ended. If they will be, that is a bounded table or nothing: in the
// other formats, what was done is shown at the end.
func (j *job) preview(ctx context.Context, chosen []session, dryRun bool) error {
	switch {
	case j.people():
	case !dryRun:
		return nil
	case j.Out.Format == keysFormat:
		return j.keys(chosen)
	default:
		return j.show(ctx, chosen)
	}
	if err := j.show(ctx, slices.Clone(chosen[:min(maxPreview, len(chosen))])); err != nil {
		return err
	}
	if more := len(chosen) - maxPreview; more > 0 {
		return j.Out.Line(fmt.Sprintf("and %s more", thousands(more)))
	}
	return nil
}

// report says what was done. The error is that of the first session that was not ended.
func (j *job) report(done *result) error {
	for i, r := range done.Refused {
		if i == maxRefused {
			j.Warn(fmt.Sprintf("and %s more were refused", thousands(len(done.Refused)-maxRefused)))
			break
		}
		j.Warn(r.Key + ": " + r.Error)
	}
	var err error
	switch j.Out.Format {
	case command.JSONFormat:
		err = j.Out.Encode(done, "  ")
	case keysFormat:
		err = j.Out.Texts(done.keys)
	case csvFormat:
		t := &command.Table{Header: []string{"ended", "alreadyGone", "noLongerSelected", "refused", "left"}}
		t.Add(fmt.Sprint(done.Ended), fmt.Sprint(done.Gone), fmt.Sprint(done.Spared), fmt.Sprint(len(done.Refused)),
			fmt.Sprint(done.Left))
		err = j.Out.CSV(t)
	default:
		err = j.Out.Line(done.text())
	}
	if err != nil || done.first == nil {
		return err
	}
	text, code := j.Explain(done.first)
	return command.WithExitCode(errors.New(text), cmp.Or(code, 1))
}

// maxRefused is how many refusals are explained.
const maxRefused = 10

// users returns the number of users of the sessions.
func users(list []session) int {
	names := map[string]bool{}
	for _, s := range list {
		names[s.UserName] = true
	}
	return len(names)
}
