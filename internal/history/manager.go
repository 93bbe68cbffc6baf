package history

import (
	"context"
	"errors"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/budget"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/vim"
)

// eventManager describes the managed object EventManager.
func (a *api) eventManager() *vim.Object {
	return &vim.Object{
		Type: "EventManager", ID: "EventManager",
		Methods: []vim.Method{
			vim.NewMethod("CreateCollectorForEvents", vim.View, a.createCollectorForEvents,
				vim.Faults("InvalidState", "InvalidArgument", "ManagedObjectNotFound")),
			vim.NewVoid("LogUserEvent", access.GlobalLogEvent, a.logUserEvent,
				vim.Faults("ManagedObjectNotFound", "InvalidArgument")),
			vim.NewVoid("PostEvent", access.GlobalLogEvent, a.postEvent, vim.Faults("InvalidEvent", "InvalidArgument")),
			vim.NewMethod("QueryEvents", vim.View, a.queryEvents,
				vim.Faults("InvalidArgument", "ManagedObjectNotFound")),
			vim.NewMethod("RetrieveArgumentDescription", vim.View, a.retrieveArgumentDescription),
		},
		Properties: []vim.Property{
			vim.NewProperty("description", vim.View, a.eventDescription),
			vim.NewProperty("latestEvent", vim.View, a.latestEvent, optional, vim.Watched(a.eventsChanged)),
			// The limit covers all objects that belong to a session, not only collectors.
			vim.NewProperty("maxCollector", vim.View, func(context.Context, *vim.Call) (int32, error) {
				return int32(a.MaxInstances()), nil
			}),
		},
	}
}

// optional marks a property that may be unset although its Go type does not show it.
func optional(p *vim.Property) { p.Optional = true }

func (a *api) eventsChanged(*vim.Call) <-chan struct{} { return a.log.Changed() }

func (a *api) latestEvent(_ context.Context, c *vim.Call) (types.BaseEvent, error) {
	e, ok := a.log.Latest()
	if !ok {
		return nil, nil
	}
	return apiEvent(e, a.MessageLocale(c)), nil
}

// scanWork accounts for the work of a scan through the whole log.
func (a *api) scanWork(ctx context.Context, c *vim.Call) error {
	const atOnce = 32 // events per unit of work
	return a.Work(ctx, c, a.log.Size()/atOnce)
}

func (a *api) queryEvents(
	ctx context.Context, c *vim.Call, r *types.QueryEventsRequestType,
) ([]types.BaseEvent, error) {
	f, err := a.eventFilter(&r.Filter)
	if err != nil {
		return nil, err
	}
	if err := a.scanWork(ctx, c); err != nil {
		return nil, err
	}
	found, err := a.apiEvents(ctx, c, a.log.Query(f), &r.Filter)
	if err != nil {
		return nil, err
	}
	if fault := a.Answer(c, budget.Weight(found)); fault != nil {
		return nil, fault
	}
	return found, nil
}

// apiEvents converts the events for the caller. The filter may exclude the messages.
func (a *api) apiEvents(
	ctx context.Context, c *vim.Call, all []event.Event, filter *types.EventFilterSpec,
) ([]types.BaseEvent, error) {
	const each = 4 // units of work
	if err := a.Work(ctx, c, each*len(all)); err != nil {
		return nil, err
	}
	out := make([]types.BaseEvent, len(all))
	in := a.MessageLocale(c)
	for i, e := range all {
		out[i] = apiEvent(e, in)
		if filter.DisableFullMessage != nil && *filter.DisableFullMessage {
			out[i].GetEvent().FullFormattedMessage = ""
		}
	}
	return out, nil
}

// eventFilter converts the API's filter to a filter of the log.
func (a *api) eventFilter(s *types.EventFilterSpec) (event.Filter, error) {
	f := event.Filter{
		ChainID: s.EventChainId, Alarm: s.Alarm != nil, ScheduledTask: s.ScheduledTask != nil,
		Categories: s.Category, Types: s.Type, IDs: s.EventTypeId, Tags: s.Tag, MaxCount: int(s.MaxCount),
	}
	if s.Entity != nil {
		if err := vim.CheckEntity(s.Entity.Entity); err != nil {
			return event.Filter{}, err
		}
		f.Entity = &event.Entity{ID: s.Entity.Entity.Value, Recursion: string(s.Entity.Recursion)}
	}
	if s.Time != nil {
		if s.Time.BeginTime != nil {
			f.Begin = *s.Time.BeginTime
		}
		if s.Time.EndTime != nil {
			f.End = *s.Time.EndTime
		}
	}
	if s.UserName != nil {
		f.Users = &event.Users{System: s.UserName.SystemUser,
			Keys: event.UserKeys(s.UserName.UserList, a.defaultDomain)}
	}
	switch err := f.Check(); {
	case errors.Is(err, event.ErrMaxCount):
		return event.Filter{}, vim.InvalidArgument("filter.maxCount", err)
	case errors.Is(err, event.ErrRecursion):
		return event.Filter{}, vim.InvalidArgument("filter.entity.recursion", err)
	case err != nil:
		return event.Filter{}, err
	}
	return f, nil
}
