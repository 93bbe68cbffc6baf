package history

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/locale"
	"github.com/vigate/vigate/internal/vim"
)

// eventTypes holds a constructor for each type of event in the log. An event of another type can't
// be posted. If the log contains one, it is shown as the base type Event.
var eventTypes = map[string]func(event.Event, types.Event) types.BaseEvent{
	"AlreadyAuthenticatedSessionEvent": func(_ event.Event, b types.Event) types.BaseEvent {
		return &types.AlreadyAuthenticatedSessionEvent{SessionEvent: types.SessionEvent{Event: b}}
	},
	"BadUsernameSessionEvent": func(e event.Event, b types.Event) types.BaseEvent {
		return &types.BadUsernameSessionEvent{SessionEvent: types.SessionEvent{Event: b}, IpAddress: e.Address}
	},
	"EventEx": func(e event.Event, b types.Event) types.BaseEvent { return eventEx(e, b) },
	"GeneralUserEvent": func(e event.Event, b types.Event) types.BaseEvent {
		return &types.GeneralUserEvent{
			GeneralEvent: types.GeneralEvent{Event: b, Message: e.Message},
			Entity: &types.ManagedEntityEventArgument{
				EntityEventArgument: types.EntityEventArgument{Name: vim.RootName}, Entity: vim.RootFolder(),
			},
		}
	},
	"GlobalMessageChangedEvent": func(e event.Event, b types.Event) types.BaseEvent {
		return &types.GlobalMessageChangedEvent{SessionEvent: types.SessionEvent{Event: b}, Message: e.Message,
			PrevMessage: e.PrevMessage}
	},
	"NoAccessUserEvent": func(e event.Event, b types.Event) types.BaseEvent {
		return &types.NoAccessUserEvent{SessionEvent: types.SessionEvent{Event: b}, IpAddress: e.Address}
	},
	"ServerStartedSessionEvent": func(_ event.Event, b types.Event) types.BaseEvent {
		return &types.ServerStartedSessionEvent{SessionEvent: types.SessionEvent{Event: b}}
	},
	"SessionTerminatedEvent": func(e event.Event, b types.Event) types.BaseEvent {
		return &types.SessionTerminatedEvent{SessionEvent: types.SessionEvent{Event: b}, SessionId: e.SessionID,
			TerminatedUsername: e.Subject}
	},
	"UserLoginSessionEvent": func(e event.Event, b types.Event) types.BaseEvent {
		return &types.UserLoginSessionEvent{
			SessionEvent: types.SessionEvent{Event: b}, IpAddress: e.Address, UserAgent: e.UserAgent,
			Locale: e.Locale, SessionId: e.SessionID,
		}
	},
	"UserLogoutSessionEvent": func(e event.Event, b types.Event) types.BaseEvent {
		out := &types.UserLogoutSessionEvent{
			SessionEvent: types.SessionEvent{Event: b}, IpAddress: e.Address, UserAgent: e.UserAgent,
			CallCount: e.CallCount, SessionId: e.SessionID,
		}
		if !e.LoginTime.IsZero() {
			out.LoginTime = &e.LoginTime
		}
		return out
	},
}

// apiEvent converts an event to its API type, with the message in the locale.
func apiEvent(e event.Event, messageLocale string) types.BaseEvent {
	base := types.Event{
		Key: e.Key, ChainId: e.ChainID, CreatedTime: e.Created, UserName: e.Actor().String(), ChangeTag: e.Tag,
		FullFormattedMessage: message(e, messageLocale),
	}
	if of := eventTypes[e.Type]; of != nil {
		return of(e, base)
	}
	return &base
}

// message returns the event's message in the locale. An EventEx that a client has posted contains
// its own message.
func message(e event.Event, in string) string {
	if e.Type == "EventEx" && e.Message != "" {
		return e.Message
	}
	key, fields := locale.EventKey(e.Type, e.ID)
	args := make([]any, len(fields))
	for i, f := range fields {
		args[i] = argument(e, f, in)
	}
	return locale.Text(in, key, args...)
}

// argument returns the value of one placeholder of locale.EventKey.
func argument(e event.Event, name, in string) any {
	switch name {
	case "user":
		if e.User == "" {
			return locale.Text(in, "principal.anonymous")
		}
		return e.Actor().String()
	case "address":
		return e.Address
	case "agent":
		return e.UserAgent
	case "session":
		return e.SessionID
	case "subject":
		return e.Subject
	case "message":
		return e.Message
	case "prev":
		return e.PrevMessage
	case "login":
		return e.LoginTime
	case "calls":
		return e.CallCount
	case "type":
		if e.ID != "" {
			return e.ID
		}
		return e.Type
	}
	return ""
}

// Names of the arguments in which the log stores members that only EventEx has. Clients can't use
// these names for arguments: see postedArguments.
const (
	argObjectID   = "@objectId"
	argObjectType = "@objectType"
	argObjectName = "@objectName"
)

// eventEx converts an event to an EventEx. If the server itself has posted it, its object is the
// root folder, as for every event, and its arguments hold the values for which other types have
// members.
func eventEx(e event.Event, base types.Event) *types.EventEx {
	x := &types.EventEx{
		Event: base, EventTypeId: e.ID, Severity: event.Category(e), Message: e.Message,
		ObjectId: e.Args[argObjectID], ObjectType: e.Args[argObjectType], ObjectName: e.Args[argObjectName],
	}
	args := map[string]string{}
	if strings.HasPrefix(e.ID, ownEvents) {
		x.ObjectId, x.ObjectType, x.ObjectName = vim.RootFolder().Value, vim.RootFolder().Type, vim.RootName
		args["subject"], args["sessionId"], args["ipAddress"] = e.Subject, e.SessionID, e.Address
		args["origin"] = e.Origin
		if e.CallCount > 0 {
			args["callCount"], args["loginTime"] = strconv.FormatInt(e.CallCount,
				10), e.LoginTime.UTC().Format(time.RFC3339)
		}
	}
	maps.Copy(args, e.Args)
	for _, k := range slices.Sorted(maps.Keys(args)) {
		if args[k] != "" && !strings.HasPrefix(k, "@") {
			x.Arguments = append(x.Arguments, types.KeyAnyValue{Key: k, Value: args[k]})
		}
	}
	return x
}

// ownEvents is the prefix of the ids of events that the server itself posts.
const ownEvents = "vigate."
