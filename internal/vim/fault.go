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

// Fault is the error of a call. The caller sees Detail and the text; only the log contains the cause.
type Fault struct {
	// Detail is the API's fault. It is nil if the call was refused because of load or an outage, for
	// which the API has no fault; see RetryAfter.
	Detail types.BaseMethodFault
	// RetryAfter, if not 0, is when the client should try again. The HTTP status is then 503.
	RetryAfter time.Duration
	// Cause is only logged. It is never sent to a client.
	Cause error

	key  string // of the text in the catalogue
	args []any
}

// Text returns the faultstring in the locale.
func (f *Fault) Text(messageLocale string) string {
	return locale.Text(messageLocale, f.key, f.args...)
}

// Kind returns the API's type name of the fault, or Unavailable.
func (f *Fault) Kind() string {
	if f.Detail == nil {
		return "Unavailable"
	}
	return reflect.TypeOf(f.Detail).Elem().Name()
}

// IsFault reports whether f is the API's fault of the type T, and not of a type that extends T. It
// is false for nil.
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

// NewFault returns a fault of the API's type, with the text of its type. args are the arguments of
// the text. cause is only logged.
func NewFault(detail types.BaseMethodFault, cause error, args ...any) *Fault {
	f := &Fault{Detail: detail, Cause: cause, args: args}
	f.key = "fault." + f.Kind()
	return f
}

// Saying gives the fault a text that is more specific than that of its type. more is the end of the text's key in the
// catalogue, and args are its further arguments.
func (f *Fault) Saying(more string, args ...any) *Fault {
	f.key, f.args = f.key+"."+more, append(f.args, args...)
	return f
}

// Refusal returns a fault for which the API has no type: the server can't carry out the call at the
// moment, and the client should try again after the duration. key is the key of the text in the
// catalogue, and args are the arguments of the text. cause is only logged.
func Refusal(key string, after time.Duration, cause error, args ...any) *Fault {
	return &Fault{RetryAfter: after, Cause: cause, key: key, args: args}
}

// NotSupported returns the fault of a call that this server does not support in its configuration.
func NotSupported(why string) *Fault {
	return NewFault(&types.NotSupported{}, errors.New(why))
}

// Unsupported is NotSupported with a reason that is sent to the caller. It must not repeat bytes of the request
// that could be a secret.
func Unsupported(reason string) *Fault {
	return NewFault(&types.NotSupported{}, nil).Saying("reason", reason)
}

// InvalidArgument names the wrong argument, as a path of members.
func InvalidArgument(property string, cause error) *Fault {
	return NewFault(&types.InvalidArgument{InvalidProperty: property}, cause, property)
}

// BadArgument is InvalidArgument with a reason that is sent to the caller. The reason follows the argument's path, as
// in "is not an absolute URL", and must not repeat bytes of the request that could be a secret.
func BadArgument(property, reason string, cause error) *Fault {
	return InvalidArgument(property, cause).Saying("reason", reason)
}

// InvalidRequest says why the request can't be understood. The reason is sent to the caller. It must
// only be about the caller's own bytes, and must not repeat bytes that could be a secret.
func InvalidRequest(reason string) *Fault {
	return NewFault(&types.InvalidRequest{}, nil).Saying("reason", reason)
}

// maxQuote is how many bytes of a client's name an answer repeats at most.
const maxQuote = 64

// Quote returns a name from a client for InvalidRequest's reason, cut and escaped.
func Quote(name string) string {
	if len(name) > maxQuote {
		name = strings.ToValidUTF8(name[:maxQuote], "") + "…"
	}
	return strconv.QuoteToASCII(name)
}

// MethodNotFound: the type has no such method.
func MethodNotFound(ref types.ManagedObjectReference, name string) *Fault {
	return NewFault(&types.MethodNotFound{Receiver: ref, Method: name}, nil)
}

// PropertyNotFound: the type has no such property.
func PropertyNotFound(name string) *Fault {
	return NewFault(&types.InvalidProperty{Name: name}, nil)
}

// TypeNotFound: there is no such type of managed object, or it is not served.
func TypeNotFound(name string) *Fault {
	return NewFault(&types.InvalidType{Argument: name}, nil)
}

// ObjectNotFound: there is no such object, or it belongs to another session.
func ObjectNotFound(ref types.ManagedObjectReference) *Fault {
	return NewFault(&types.ManagedObjectNotFound{Obj: ref}, nil, "vim."+ref.Type+":"+ref.Value)
}

// NotAuthenticated: the row needs a live session, and the caller has none.
func NotAuthenticated(ref types.ManagedObjectReference, privilege access.Privilege) *Fault {
	f := &types.NotAuthenticated{}
	f.NoPermission = missing(ref, privilege)
	return NewFault(f, nil)
}

// NoPermission: the session lacks the privileges on the object. At least one must be given.
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

// retryBusy is when a client should try again after an outage or overload. It is sent in seconds.
const retryBusy = 2 * time.Second
