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

// Bounds of what clients post. The log cuts what is longer; here it is refused,
// so that nobody's event is changed behind its back.
const (
	maxPostedMessage   = 16 << 10 // bytes
	maxPostedWord      = 512      // bytes of every other text
	maxPostedArguments = 20
	maxPostedText      = 8 << 10 // bytes of all arguments
)

// logUserEvent posts a GeneralUserEvent of the caller's.
func (a *api) logUserEvent(ctx context.Context, c *vim.Call, r *types.LogUserEventRequestType) error {
	if err := vim.CheckEntity(r.Entity); err != nil {
		return err
	}
	if len(r.Msg) > maxPostedMessage {
		return vim.InvalidArgument("msg", errors.New("too long"))
	}
	return a.Post(ctx, c, event.Event{Type: "GeneralUserEvent", Message: r.Msg})
}

// postEvent posts an EventEx or a GeneralUserEvent as the caller's own: who, when
// and which number are not for the caller to say. All other types tell of what
// this server alone knows.
func (a *api) postEvent(ctx context.Context, c *vim.Call, r *types.PostEventRequestType) error {
	if r.TaskInfo != nil {
		return vim.InvalidArgument("taskInfo", errors.New("there are no tasks here"))
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
		err = errors.New("a type of event that clients can't post")
	}
	if err == nil {
		err = postable(&e, r.EventToPost.GetEvent())
	}
	if err != nil {
		return vim.NewFault(&types.InvalidEvent{}, err)
	}
	return a.Post(ctx, c, e)
}

// postable takes over what all types of events have, and checks it.
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

// postedEventEx reads what a client posts. It can't be taken for one of the
// server's own events. It may be without an id, as govc posts one.
func postedEventEx(x *types.EventEx) (event.Event, error) {
	e := event.Event{Type: "EventEx", ID: x.EventTypeId, Severity: x.Severity, Message: x.Message}
	switch e.Severity {
	case "", "info", "warning", "error", "user":
	default:
		return e, errors.New("unknown severity")
	}
	switch {
	case strings.HasPrefix(strings.ToLower(e.ID), ownEvents):
		return e, errors.New("the id of an event that the server posts itself")
	case x.Fault != nil:
		return e, errors.New("faults are not kept")
	}
	args, err := postedArguments(x.Arguments)
	if err != nil {
		return e, err
	}
	for name, s := range map[string]string{argObjectID: x.ObjectId, argObjectType: x.ObjectType, argObjectName: x.ObjectName} {
		if s != "" {
			args[name] = s
		}
	}
	e.Args = args
	return e, nil
}

// postedArguments are kept as text, whatever simple type they came as.
func postedArguments(all []types.KeyAnyValue) (map[string]string, error) {
	if len(all) > maxPostedArguments {
		return nil, errors.New("too many arguments")
	}
	args := map[string]string{}
	for _, kv := range all {
		if _, again := args[kv.Key]; again || kv.Key == "" || strings.HasPrefix(kv.Key, "@") {
			return nil, errors.New("an argument's name that can't be")
		}
		switch v := reflect.ValueOf(kv.Value); {
		case v.CanInt(), v.CanUint(), v.CanFloat(), v.Kind() == reflect.String, v.Kind() == reflect.Bool:
			args[kv.Key] = fmt.Sprint(kv.Value)
		default:
			return nil, errors.New("an argument that is not simple")
		}
	}
	return args, nil
}
