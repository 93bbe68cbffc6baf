package vim

import (
	"context"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/budget"
	"github.com/vigate/vigate/internal/extension"
	"github.com/vigate/vigate/internal/locale"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/store"
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

// FaultOf is the one place that maps errors of the domain to faults. A *Fault
// stays what it is; what nobody has mapped is a SystemError that tells the
// caller nothing.
func FaultOf(err error) *Fault {
	var (
		fault *Fault
		limit *session.LimitError
	)
	switch {
	case errors.As(err, &fault):
		return fault
	case errors.As(err, &limit):
		return &Fault{RetryAfter: retryLimit, Cause: err, key: "limit." + limitKey(limit), args: []any{limit.Live, limit.Max}}
	case errors.Is(err, store.ErrUncertain):
		return &Fault{RetryAfter: retryBusy, Cause: err, key: "uncertain"}
	case errors.Is(err, session.ErrTooManyTickets), errors.Is(err, budget.ErrBusy), errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrClosed):
		return &Fault{RetryAfter: retryBusy, Cause: err, key: "unavailable"}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return NewFault(&types.RequestCanceled{}, err)
	}
	if isA[*budget.ExceededError](err) {
		return limitFault(err)
	}
	if f := domainFault(err); f != nil {
		return f
	}
	return NewFault(&types.SystemError{Reason: "internal error"}, err)
}

func limitKey(l *session.LimitError) string {
	if l.Limit == "user" {
		return "user"
	}
	return "sessions"
}

// domainFaults: which fault a domain's error is. The first that matches wins.
var domainFaults = []struct {
	is    func(error) bool
	fault func(error) *Fault
}{
	{is(locale.ErrInvalid), kind[types.InvalidLocale]},
	{is(login.ErrRejected), kind[types.InvalidLogin]},
	{is(login.ErrNotMine), kind[types.InvalidLogin]},
	{is(login.ErrNoCertificate), kind[types.NoClientCertificate]},
	{is(login.ErrNoSubject), kind[types.NoSubjectName]},
	{is(login.ErrBadCertificate), kind[types.InvalidClientCertificate]},
	{is(login.ErrBusy), busy},
	{is(session.ErrBadTicket), kind[types.InvalidLogin]},
	{is(session.ErrNotAllowed), kind[types.InvalidLogin]},
	{is(session.ErrNoSession), ended}, // the caller's own, in the midst of its call

	{isA[*access.GrantError], func(err error) *Fault {
		refused, _ := errors.AsType[*access.GrantError](err)
		return NoPermission(RootFolder(), err, refused.Lacks...)
	}},
	{is(access.ErrLastAdministrator), kind[types.AuthMinimumAdminPermission]},
	{is(access.ErrRoleExists), kind[types.AlreadyExists]},
	{is(access.ErrRoleName), kind[types.InvalidName]},
	{is(access.ErrRoleInUse), kind[types.RemoveFailed]},
	{is(access.ErrSystemRole), argument("roleId")},
	{is(access.ErrRole), kind[types.NotFound]},
	{is(access.ErrPrivilege), argument("privIds")},
	{is(access.ErrPrincipal), kind[types.UserNotFound]},
	{is(access.ErrDuplicate), argument("permission.principal")},
	{is(access.ErrPermission), kind[types.NotFound]},
	{is(access.ErrTooMany), kind[types.LimitExceeded]},

	{is(account.ErrExists), kind[types.AlreadyExists]},
	{is(account.ErrNotFound), kind[types.UserNotFound]},
	{is(account.ErrName), argument("user.id")},
	{is(account.ErrFullName), argument("user.description")},
	{is(account.ErrPassword), argument("user.password")},
	{is(account.ErrBusy), busy},

	{is(extension.ErrNotFound), kind[types.NotFound]},
	{is(extension.ErrExists), argument("extension.key")},
	{is(extension.ErrKey), argument("extension.key")},
	{is(extension.ErrSubjectName), argument("extension.subjectName")},
	{is(extension.ErrPrivilege), argument("extension.privilegeList")},
	{is(extension.ErrData), argument("extension")},
	{is(extension.ErrText), argument("extension")},
	{is(extension.ErrBadCertificate), argument("certificatePem")},
	{is(extension.ErrBadPublicKey), argument("publicKey")},

	{isA[*setting.UnknownError], func(err error) *Fault {
		unknown, _ := errors.AsType[*setting.UnknownError](err)
		return NewFault(&types.InvalidName{Name: unknown.Name}, err)
	}},
	{isA[*setting.InvalidError], func(err error) *Fault {
		invalid, _ := errors.AsType[*setting.InvalidError](err)
		return InvalidArgument(invalid.Name, err)
	}},

	// Others were faster each time.
	{is(store.ErrConflict), contended},
	{is(session.ErrStale), contended},
}

func contended(err error) *Fault {
	return &Fault{RetryAfter: retryBusy, Cause: err, key: "unavailable"}
}

func is(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// kind makes the fault of a type that needs no more than to be it.
func kind[T any, P interface {
	*T
	types.BaseMethodFault
}](err error) *Fault {
	return NewFault(P(new(T)), err)
}

func argument(property string) func(error) *Fault {
	return func(err error) *Fault { return InvalidArgument(property, err) }
}

func busy(err error) *Fault {
	return &Fault{RetryAfter: retryBusy, Cause: err, key: "overload.login"}
}

// ended: the session was ended while its call was running.
func ended(err error) *Fault {
	f := NotAuthenticated(types.ManagedObjectReference{Type: "SessionManager", Value: "SessionManager"}, View)
	f.Cause = err
	return f
}

func domainFault(err error) *Fault {
	for _, d := range domainFaults {
		if d.is(err) {
			return d.fault(err)
		}
	}
	return nil
}
