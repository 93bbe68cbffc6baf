package vim

import (
	"context"
	"errors"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/event"
)

// eventManager is the log of what happened.
func (a *API) eventManager() *Object {
	return &Object{
		Type: "EventManager", ID: "EventManager",
		Methods: []Method{
			NewMethod("CreateCollectorForEvents", View, a.createCollectorForEvents, Faults("InvalidState", "InvalidArgument", "ManagedObjectNotFound")),
			NewVoid("LogUserEvent", access.GlobalLogEvent, a.logUserEvent, Faults("ManagedObjectNotFound", "InvalidArgument")),
			NewVoid("PostEvent", access.GlobalLogEvent, a.postEvent, Faults("InvalidEvent", "InvalidArgument")),
			NewMethod("QueryEvents", View, a.queryEvents, Faults("InvalidArgument", "ManagedObjectNotFound")),
			NewMethod("RetrieveArgumentDescription", View, a.retrieveArgumentDescription),
		},
		Properties: []Property{
			NewProperty("description", View, a.eventDescription),
			NewProperty("latestEvent", View, a.latestEvent, optional, Watched(a.eventsChanged)),
			// All objects of a session's own count together.
			NewFixed("maxCollector", View, int32(MaxInstances)),
		},
	}
}

// optional marks a property whose type can't tell that it may be unset.
func optional(p *Property) { p.Optional = true }

func (a *API) eventsChanged(*Call) <-chan struct{} { return a.Events.Changed() }

func (a *API) latestEvent(_ context.Context, c *Call) (types.BaseEvent, error) {
	e, ok := a.Events.Latest()
	if !ok {
		return nil, nil
	}
	return apiEvent(e, a.MessageLocale(c)), nil
}

func (a *API) queryEvents(_ context.Context, c *Call, r *types.QueryEventsRequestType) ([]types.BaseEvent, error) {
	f, err := a.eventFilter(&r.Filter)
	if err != nil {
		return nil, err
	}
	return a.apiEvents(c, a.Events.Query(f), &r.Filter), nil
}

// apiEvents are the events for the reader. A filter may do without messages.
func (a *API) apiEvents(c *Call, all []event.Event, filter *types.EventFilterSpec) []types.BaseEvent {
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
func (a *API) eventFilter(s *types.EventFilterSpec) (event.Filter, error) {
	f := event.Filter{
		ChainID: s.EventChainId, Alarm: s.Alarm != nil, ScheduledTask: s.ScheduledTask != nil,
		Categories: s.Category, Types: s.Type, IDs: s.EventTypeId, Tags: s.Tag, MaxCount: int(s.MaxCount),
	}
	if s.Entity != nil {
		if err := CheckEntity(s.Entity.Entity); err != nil {
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
		return event.Filter{}, InvalidArgument("filter.maxCount", err)
	case errors.Is(err, event.ErrRecursion):
		return event.Filter{}, InvalidArgument("filter.entity.recursion", err)
	case err != nil:
		return event.Filter{}, err
	}
	return f, nil
}
