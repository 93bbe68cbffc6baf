package history

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/vim"
)

// Limits on the events of clients. The log truncates longer texts. Here they are refused, so that
// the server never changes a client's event silently.
const (
	maxPostedMessage   = 16 << 10 // bytes
	maxPostedWord      = 512      // bytes of each other text
	maxPostedArguments = 20
	maxPostedText      = 8 << 10 // bytes of all arguments
)

// logUserEvent posts a GeneralUserEvent on behalf of the caller.
func (a *api) logUserEvent(ctx context.Context, c *vim.Call, r *types.LogUserEventRequestType) error {
	if err := vim.CheckEntity(r.Entity); err != nil {
		return err
	}
	if len(r.Msg) > maxPostedMessage {
		return vim.InvalidArgument("msg", errors.New("too long"))
	}
	return a.Post(ctx, c, event.Event{Type: "GeneralUserEvent", Message: r.Msg})
}

// postEvent posts an EventEx or a GeneralUserEvent on behalf of the caller. The server sets the
// user, the time and the key. All other types describe facts that only this server knows, so
// clients can't post them.
func (a *api) postEvent(ctx context.Context, c *vim.Call, r *types.PostEventRequestType) error {
	if r.TaskInfo != nil {
		return vim.InvalidArgument("taskInfo", errors.New("this server has no tasks"))
	}
	if r.EventToPost == nil {
		return vim.InvalidArgument("eventToPost", errors.New("unset"))
	}
	var e event.Event
	var err error
	switch posted := r.EventToPost.(type) {
	case *types.EventEx:
		e, err = postedEventEx(posted)
	case *types.GeneralUserEvent:
		if posted.Entity != nil {
			err = vim.CheckEntity(posted.Entity.Entity)
		}
		e = event.Event{Type: "GeneralUserEvent", Message: posted.Message}
	default:
		err = errors.New("clients can't post this type of event")
	}
	if err == nil {
		err = postable(&e, r.EventToPost.GetEvent())
	}
	if err != nil {
		return vim.NewFault(&types.InvalidEvent{}, err)
	}
	return a.Post(ctx, c, e)
}

// postable copies the members that all types of events have, and checks the event.
func postable(e *event.Event, base *types.Event) error {
	e.ChainID, e.Tag = base.ChainId, base.ChangeTag
	if e.ChainID < 0 {
		return errors.New("a negative chain")
	}
	if len(e.Message) > maxPostedMessage {
		return errors.New("message too long")
	}
	for _, s := range []string{e.ID, e.Tag} {
		if len(s) > maxPostedWord {
			return errors.New("text too long")
		}
	}
	text := 0
	for name, s := range e.Args {
		if text += len(name) + len(s); len(name) > 128 || len(s) > maxPostedWord || text > maxPostedText {
			return errors.New("arguments too long")
		}
	}
	return nil
}

// postedEventEx converts an EventEx of a client. It refuses ids of the server's own events. The id
// may be empty, because govc posts events without one.
func postedEventEx(x *types.EventEx) (event.Event, error) {
	e := event.Event{Type: "EventEx", ID: x.EventTypeId, Severity: x.Severity, Message: x.Message}
	switch e.Severity {
	case "", "info", "warning", "error", "user":
	default:
		return e, errors.New("unknown severity")
	}
	switch {
	case strings.HasPrefix(strings.ToLower(e.ID), ownEvents):
		return e, errors.New("the id is reserved for events of the server")
	case x.Fault != nil:
		return e, errors.New("events with faults are not supported")
	}
	args, err := postedArguments(x.Arguments)
	if err != nil {
		return e, err
	}
	for name, s := range map[string]string{argObjectID: x.ObjectId, argObjectType: x.ObjectType,
		argObjectName: x.ObjectName} {
		if s != "" {
			args[name] = s
		}
	}
	e.Args = args
	return e, nil
}

// postedArguments converts the arguments to text. It refuses values that are not simple.
func postedArguments(all []types.KeyAnyValue) (map[string]string, error) {
	if len(all) > maxPostedArguments {
		return nil, errors.New("too many arguments")
	}
	args := map[string]string{}
	for _, kv := range all {
		if _, again := args[kv.Key]; again || kv.Key == "" || strings.HasPrefix(kv.Key, "@") {
			return nil, errors.New("an argument has an invalid or repeated name")
		}
		switch v := reflect.ValueOf(kv.Value); {
		case v.CanInt(), v.CanUint(), v.CanFloat(), v.Kind() == reflect.String, v.Kind() == reflect.Bool:
			args[kv.Key] = fmt.Sprint(kv.Value)
		default:
			return nil, errors.New("an argument is not a simple value")
		}
	}
	return args, nil
}
