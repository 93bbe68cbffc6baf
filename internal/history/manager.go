package history

import (
	"context"
	"errors"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/vim"
)

// eventManager is the log of what happened.
func (a *api) eventManager() *vim.Object {
	return &vim.Object{
		Type: "EventManager", ID: "EventManager",
		Methods: []vim.Method{
			vim.NewMethod("CreateCollectorForEvents", vim.View, a.createCollectorForEvents, vim.Faults("InvalidState", "InvalidArgument", "ManagedObjectNotFound")),
			vim.NewVoid("LogUserEvent", access.GlobalLogEvent, a.logUserEvent, vim.Faults("ManagedObjectNotFound", "InvalidArgument")),
			vim.NewVoid("PostEvent", access.GlobalLogEvent, a.postEvent, vim.Faults("InvalidEvent", "InvalidArgument")),
			vim.NewMethod("QueryEvents", vim.View, a.queryEvents, vim.Faults("InvalidArgument", "ManagedObjectNotFound")),
			vim.NewMethod("RetrieveArgumentDescription", vim.View, a.retrieveArgumentDescription),
		},
		Properties: []vim.Property{
			vim.NewProperty("description", vim.View, a.eventDescription),
			vim.NewProperty("latestEvent", vim.View, a.latestEvent, optional, vim.Watched(a.eventsChanged)),
			// All objects of a session's own count together.
			vim.NewFixed("maxCollector", vim.View, int32(vim.MaxInstances)),
		},
	}
}

// optional marks a property whose type can't tell that it may be unset.
func optional(p *vim.Property) { p.Optional = true }

func (a *api) eventsChanged(*vim.Call) <-chan struct{} { return a.Events.Changed() }

func (a *api) latestEvent(_ context.Context, c *vim.Call) (types.BaseEvent, error) {
	e, ok := a.Events.Latest()
	if !ok {
		return nil, nil
	}
	return apiEvent(e, a.MessageLocale(c)), nil
}

func (a *api) queryEvents(_ context.Context, c *vim.Call, r *types.QueryEventsRequestType) ([]types.BaseEvent, error) {
	f, err := a.eventFilter(&r.Filter)
	if err != nil {
		return nil, err
	}
	return a.apiEvents(c, a.Events.Query(f), &r.Filter), nil
}

// apiEvents are the events for the reader. A filter may do without messages.
func (a *api) apiEvents(c *vim.Call, all []event.Event, filter *types.EventFilterSpec) []types.BaseEvent {
	out := make([]types.BaseEvent, len(all))
	in := a.MessageLocale(c)
	for i, e := range all {
		out[i] = apiEvent(e, in)
		if filter.DisableFullMessage != nil && *filter.DisableFullMessage {
			out[i].GetEvent().FullFormattedMessage = ""
		}
	}
	return out
}

// eventFilter is the API's filter as the log understands it.
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
		f.Users = &event.Users{System: s.UserName.SystemUser, Keys: event.UserKeys(s.UserName.UserList, a.Gate.DefaultDomain)}
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
