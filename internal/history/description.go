package history

import (
	"context"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/locale"
	"github.com/vigate/vigate/internal/vim"
)

// eventArguments maps the placeholders of messages (see locale.EventKey) to members of events, or
// to arguments of an EventEx.
var eventArguments = map[string]struct{ member, typ string }{
	"user":    {"userName", "string"},
	"address": {"ipAddress", "string"},
	"agent":   {"userAgent", "string"},
	"session": {"sessionId", "string"},
	"subject": {"subject", "string"},
	"message": {"message", "string"},
	"prev":    {"prevMessage", "string"},
	"login":   {"loginTime", "dateTime"},
	"calls":   {"callCount", "int"},
	"type":    {"eventTypeId", "string"},
}

// eventArgument returns the member that holds the value of a message's placeholder.
func eventArgument(typ, placeholder string) (member, memberType string) {
	if typ == "SessionTerminatedEvent" && placeholder == "subject" {
		return "terminatedUsername", "string"
	}
	a := eventArguments[placeholder]
	return a.member, a.typ
}

// described returns an event of each type, and of each EventEx id, that this server posts. It takes
// them from the keys of the message catalogue.
func described() []event.Event {
	var all []event.Event
	for _, key := range locale.Keys() {
		name, ok := strings.CutPrefix(key, "event.")
		switch {
		case !ok:
		case strings.HasPrefix(name, ownEvents):
			all = append(all, event.Event{Type: "EventEx", ID: name})
		case eventTypes[name] != nil:
			all = append(all, event.Event{Type: name})
		}
	}
	return all
}

// eventDescription returns the categories and types of events in the caller's language. As in
// vCenter, the format of an EventEx begins with its id.
func (a *api) eventDescription(_ context.Context, c *vim.Call) (types.EventDescription, error) {
	in := a.MessageLocale(c)
	d := types.EventDescription{Category: []types.BaseElementDescription{},
		EventInfo: []types.EventDescriptionEventDetail{}}
	for _, category := range []string{"info", "warning", "error", "user"} {
		label := locale.Text(in, "category."+category)
		d.Category = append(d.Category, &types.ElementDescription{
			Description: types.Description{Label: label, Summary: label}, Key: category,
		})
	}
	for _, e := range described() {
		format := eventFormat(e, in)
		if e.ID != "" {
			format = e.ID + "|" + format
		}
		d.EventInfo = append(d.EventInfo, types.EventDescriptionEventDetail{
			Key: e.Type, Description: e.ID, Category: event.Category(e), FormatOnDatacenter: format,
			FormatOnComputeResource: format, FormatOnHost: format, FormatOnVm: format, FullFormat: format,
		})
	}
	return d, nil
}

// eventFormat returns the message with the names of members in braces instead of values.
func eventFormat(e event.Event, in string) string {
	key, fields := locale.EventKey(e.Type, e.ID)
	args := make([]any, len(fields))
	for i, f := range fields {
		member, _ := eventArgument(e.Type, f)
		args[i] = "{" + member + "}"
	}
	return locale.Text(in, key, args...)
}

// retrieveArgumentDescription describes the arguments of the message of an event type. The result
// is empty if this server does not post the type.
func (a *api) retrieveArgumentDescription(
	_ context.Context, _ *vim.Call, r *types.RetrieveArgumentDescriptionRequestType,
) ([]types.EventArgDesc, error) {
	id := strings.TrimPrefix(r.EventTypeId, "vim.event.")
	var all []types.EventArgDesc
	for _, e := range described() {
		if e.ID != id && (e.ID != "" || e.Type != id) {
			continue
		}
		_, fields := locale.EventKey(e.Type, e.ID)
		for _, f := range fields {
			member, typ := eventArgument(e.Type, f)
			all = append(all, types.EventArgDesc{Name: member, Type: typ})
		}
	}
	return all, nil
}
