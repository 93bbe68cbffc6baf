package cli

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/cli/command"
	"github.com/vigate/vigate/internal/history/kind"
)

const (
	// eventPage is the maximum number of events per call, as the API allows.
	eventPage = 1000
	// eventPause is how long a follower waits before it asks for new events again.
	eventPause = 2 * time.Second
)

func (a *app) event() *cobra.Command {
	return command.Group("event", "Show events", a.eventList())
}

func (a *app) eventList() *cobra.Command {
	var follow bool
	var count int
	var users, kinds []string
	cmd := a.command("ls [flags]", "List the newest events, oldest first", cobra.NoArgs,
		func(ctx context.Context, j *job) error {
			if count < 1 || count > eventPage {
				return command.Usage("--count must be from 1 to %d", eventPage)
			}
			r := &eventReader{job: j, filter: eventFilter(users, kinds), count: int32(count)}
			if follow {
				return r.follow(ctx)
			}
			return r.list(ctx)
		})
	cmd.Aliases = []string{"list"}
	f := cmd.Flags()
	f.BoolVarP(&follow, "follow", "f", false, "keep printing new events until interrupted; as JSON, one event per line")
	f.IntVarP(&count, "count", "n", 25, "show the last N events")
	f.StringSliceVar(&users, "user", nil, "show only events of these users")
	f.StringSliceVar(&kinds, "type", nil, "show only events of these types, such as UserLoginSessionEvent")
	return cmd
}

func eventFilter(users, kinds []string) types.EventFilterSpec {
	var filter types.EventFilterSpec
	if len(users) > 0 {
		filter.UserName = &types.EventFilterSpecByUsername{UserList: users}
	}
	for _, name := range kinds {
		filter.EventTypeId = append(filter.EventTypeId, kind.ID(name))
	}
	return filter
}

// eventReader reads and prints events that match a filter.
type eventReader struct {
	*job
	filter types.EventFilterSpec
	count  int32
	last   *types.Event // the newest event that was printed
}

func (r *eventReader) list(ctx context.Context) error {
	manager, err := r.events(ctx)
	if err != nil {
		return err
	}
	r.filter.MaxCount = r.count
	list, err := invoke[[]types.BaseEvent](ctx, r.job, manager, "QueryEvents", &types.QueryEvents{Filter: r.filter})
	if err != nil {
		return err
	}
	slices.SortStableFunc(list, func(a, b types.BaseEvent) int {
		return cmp.Compare(a.GetEvent().Key, b.GetEvent().Key)
	})
	if len(list) > int(r.count) {
		list = list[len(list)-int(r.count):] // some servers return more events than asked for
	}
	return r.Out.Show(list, func() *command.Table { return eventTable(list, true) })
}

// follow prints events until the command is interrupted, which is its normal end.
func (r *eventReader) follow(ctx context.Context) error {
	if !r.Out.JSON {
		if err := r.Out.Table(eventTable(nil, true)); err != nil {
			return err
		}
	}
	for {
		err := r.collect(ctx)
		switch {
		case ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled):
			return nil
		case r.last != nil && command.IsFault[*types.ManagedObjectNotFound](err):
			// The collector ended with its session, which was renewed in the meantime. The next
			// collector begins at the time of the last printed event.
			from := r.last.CreatedTime
			r.filter.Time = &types.EventFilterSpecByTime{BeginTime: &from}
			r.count = eventPage
		default:
			return err
		}
	}
}

// collect prints events with one collector until the collector ends.
func (r *eventReader) collect(ctx context.Context) error {
	manager, err := r.events(ctx)
	if err != nil {
		return err
	}
	collector, err := invoke[types.ManagedObjectReference](ctx, r.job, manager, "CreateCollectorForEvents",
		&types.CreateCollectorForEvents{Filter: r.filter})
	if err != nil {
		return err
	}
	defer r.destroy(ctx, collector)
	// The collector's position is right before its latest page.
	if err := r.Invoke(ctx, collector, "SetCollectorPageSize", &types.SetCollectorPageSize{MaxCount: r.count},
		nil); err != nil {
		return err
	}
	if err := r.Invoke(ctx, collector, "ResetCollector", nil, nil); err != nil {
		return err
	}
	for {
		list, err := invoke[[]types.BaseEvent](ctx, r.job, collector, "ReadNextEvents",
			&types.ReadNextEvents{MaxCount: eventPage})
		if err != nil {
			return err
		}
		if err := r.emit(list); err != nil {
			return err
		}
		if len(list) == eventPage {
			continue
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(eventPause):
		}
	}
}

// destroy destroys the collector, because a session may have only a limited number.
func (r *eventReader) destroy(ctx context.Context, collector types.ManagedObjectReference) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	// If this fails, the collector ends with its session.
	_ = r.Invoke(ctx, collector, "DestroyCollector", nil, nil)
}

// emit prints the events that were not printed before.
func (r *eventReader) emit(list []types.BaseEvent) error {
	list = slices.DeleteFunc(list, func(e types.BaseEvent) bool {
		return r.last != nil && e.GetEvent().Key <= r.last.Key
	})
	if len(list) == 0 {
		return nil
	}
	r.last = list[len(list)-1].GetEvent()
	if !r.Out.JSON {
		return r.Out.Table(eventTable(list, false))
	}
	for _, e := range list {
		if err := r.Out.Encode(e, ""); err != nil {
			return err
		}
	}
	return nil
}

// eventTable makes a table with fixed column widths, because events are printed in several tables,
// one after the other.
func eventTable(list []types.BaseEvent, header bool) *command.Table {
	t := &command.Table{}
	if header {
		t.Header = eventRow("TIME", "USER", "TYPE", "MESSAGE")
	}
	for _, e := range list {
		event := e.GetEvent()
		t.Rows = append(t.Rows, eventRow(command.Moment(event.CreatedTime), event.UserName, kind.Of(e),
			event.FullFormattedMessage))
	}
	return t
}

func eventRow(moment, user, typ, message string) []string {
	pad := func(s string, width int) string { return s + strings.Repeat(" ", max(0, width-len([]rune(s)))) }
	return []string{pad(moment, len("2006-01-02T15:04:05Z")), pad(user, 28), pad(typ, 28), message}
}
