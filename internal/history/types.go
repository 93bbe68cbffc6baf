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

// eventTypes makes the API's event of each type that the log has. What is not
// here can't be posted, and is shown as the plain Event that every type is.
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
		return &types.GlobalMessageChangedEvent{SessionEvent: types.SessionEvent{Event: b}, Message: e.Message, PrevMessage: e.PrevMessage}
	},
	"NoAccessUserEvent": func(e event.Event, b types.Event) types.BaseEvent {
		return &types.NoAccessUserEvent{SessionEvent: types.SessionEvent{Event: b}, IpAddress: e.Address}
	},
	"ServerStartedSessionEvent": func(_ event.Event, b types.Event) types.BaseEvent {
		return &types.ServerStartedSessionEvent{SessionEvent: types.SessionEvent{Event: b}}
	},
	"SessionTerminatedEvent": func(e event.Event, b types.Event) types.BaseEvent {
		return &types.SessionTerminatedEvent{SessionEvent: types.SessionEvent{Event: b}, SessionId: e.SessionID, TerminatedUsername: e.Subject}
	},
	"UserLoginSessionEvent": func(e event.Event, b types.Event) types.BaseEvent {
		return &types.UserLoginSessionEvent{
			SessionEvent: types.SessionEvent{Event: b}, IpAddress: e.Address, UserAgent: e.UserAgent, Locale: e.Locale, SessionId: e.SessionID,
		}
	},
	"UserLogoutSessionEvent": func(e event.Event, b types.Event) types.BaseEvent {
		out := &types.UserLogoutSessionEvent{
			SessionEvent: types.SessionEvent{Event: b}, IpAddress: e.Address, UserAgent: e.UserAgent, CallCount: e.CallCount, SessionId: e.SessionID,
		}
		if !e.LoginTime.IsZero() {
			out.LoginTime = &e.LoginTime
		}
		return out
	},
}

// apiEvent is the event in the API's type, with its message in the locale.
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

// message is the event's sentence. An EventEx that a client posted has brought
// its own.
func message(e event.Event, in string) string {
	if e.Type == "EventEx" && e.Message != "" {
		return e.Message
	}
	key, fields := locale.EventKey(e.Type, e.ID)
	args := make([]any, len(fields))
	for i, f := range fields {
		args[i] = fact(e, f, in)
	}
	return locale.Text(in, key, args...)
}

// fact is one of the facts that locale.EventKey names.
func fact(e event.Event, name, in string) any {
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

// The arguments under which the log keeps what an EventEx has of its own. No
// client's argument is called so: see postedArguments.
const (
	argObjectID   = "@objectId"
	argObjectType = "@objectType"
	argObjectName = "@objectName"
)

// eventEx shows an event that has an id for a type. One of the server's own is
// about the root folder, as every event is, and carries as arguments what other
// types have members for.
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
			args["callCount"], args["loginTime"] = strconv.FormatInt(e.CallCount, 10), e.LoginTime.UTC().Format(time.RFC3339)
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

// ownEvents begins the ids of the server's own events.
const ownEvents = "vigate."
