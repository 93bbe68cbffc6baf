package vim

import (
	"errors"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/locale"
)

// Fault is how a call failed: what the caller is told, and beside it the cause
// that only the log sees.
type Fault struct {
	// Detail is the API's fault. Nil where the call was refused for load or
	// outage, which the API has no fault for: see RetryAfter.
	Detail types.BaseMethodFault
	// RetryAfter, if not 0: HTTP status 503, and when to try again.
	RetryAfter time.Duration
	// Cause never leaves the process but in the log.
	Cause error

	key  string // of the text in the catalogue
	args []any
}

// Text is the faultstring in the locale.
func (f *Fault) Text(messageLocale string) string {
	return locale.Text(messageLocale, f.key, f.args...)
}

// Kind is the API's type name of the fault.
func (f *Fault) Kind() string {
	if f.Detail == nil {
		return "Unavailable"
	}
	return reflect.TypeOf(f.Detail).Elem().Name()
}

// IsFault reports whether f is the API's fault of the type T, and none of those
// that extend it. nil is no fault.
func IsFault[T types.BaseMethodFault](f *Fault) bool {
	if f == nil {
		return false
	}
	_, is := f.Detail.(T)
	return is
}

func (f *Fault) Error() string {
	if f.Cause != nil {
		return f.Kind() + ": " + f.Cause.Error()
	}
	return f.Kind()
}

func (f *Fault) Unwrap() error { return f.Cause }

// NewFault makes a fault of the API's type, with its type's text. args are those
// of the text; cause goes to the log alone.
func NewFault(detail types.BaseMethodFault, cause error, args ...any) *Fault {
	f := &Fault{Detail: detail, Cause: cause, args: args}
	f.key = "fault." + f.Kind()
	return f
}

// NotSupported is for what this server, as it is set up, does not do.
func NotSupported(why string) *Fault {
	return NewFault(&types.NotSupported{}, errors.New(why))
}

// InvalidArgument names the argument that is wrong, as a path of members.
func InvalidArgument(property string, cause error) *Fault {
	return NewFault(&types.InvalidArgument{InvalidProperty: property}, cause, property)
}

// InvalidRequest says why the request can't be understood. The reason goes to
// the caller: it must be about the caller's own bytes, and hold none of them
// that could be a secret.
func InvalidRequest(reason string) *Fault {
	f := NewFault(&types.InvalidRequest{}, nil, reason)
	f.key += ".reason"
	return f
}

// maxQuote bounds what an answer repeats of a stranger's names, in bytes.
const maxQuote = 64

// Quote is a stranger's name for InvalidRequest's reason, cut and escaped.
func Quote(name string) string {
	if len(name) > maxQuote {
		name = strings.ToValidUTF8(name[:maxQuote], "") + "…"
	}
	return strconv.QuoteToASCII(name)
}

// MethodNotFound, PropertyNotFound, TypeNotFound and ObjectNotFound are for
// names that the table does not have.
func MethodNotFound(ref types.ManagedObjectReference, name string) *Fault {
	return NewFault(&types.MethodNotFound{Receiver: ref, Method: name}, nil)
}

// PropertyNotFound: the type has no such property.
func PropertyNotFound(name string) *Fault {
	return NewFault(&types.InvalidProperty{Name: name}, nil)
}

// TypeNotFound: there is no such type of managed object, or none is served.
func TypeNotFound(name string) *Fault {
	return NewFault(&types.InvalidType{Argument: name}, nil)
}

// ObjectNotFound: there is no such object, or it is another session's.
func ObjectNotFound(ref types.ManagedObjectReference) *Fault {
	return NewFault(&types.ManagedObjectNotFound{Obj: ref}, nil, "vim."+ref.Type+":"+ref.Value)
}

// NotAuthenticated: the row needs a live session and the caller has none.
func NotAuthenticated(ref types.ManagedObjectReference, privilege access.Privilege) *Fault {
	f := &types.NotAuthenticated{}
	f.NoPermission = missing(ref, privilege)
	return NewFault(f, nil)
}

// NoPermission: the session lacks the privileges on the object, one at least.
func NoPermission(ref types.ManagedObjectReference, cause error, privileges ...access.Privilege) *Fault {
	f := missing(ref, privileges...)
	return NewFault(&f, cause)
}

func missing(ref types.ManagedObjectReference, privileges ...access.Privilege) types.NoPermission {
	ids := access.Names(privileges...)
	return types.NoPermission{
		Object: &ref, PrivilegeId: ids[0],
		MissingPrivileges: []types.NoPermissionEntityPrivileges{{Entity: ref, PrivilegeIds: ids}},
	}
}

// Retry after an outage or overload, in seconds on the wire.
const (
	retryLimit = 30 * time.Second // the number of sessions falls slowly
	retryBusy  = 2 * time.Second
)
