package members

import (
	"errors"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Class says what an error means for the request that got it.
type Class uint8

const (
	// Unknown: the request may have been executed, or may be later. A request without an answer
	// is of this class.
	Unknown Class = iota
	// Retry: the request was not executed. The same request may succeed later.
	Retry
	// Refuse: the request was not executed. Etcd would refuse the same request again.
	Refuse
)

var (
	// ErrNoMember: no member could be reached, so the request was not sent.
	ErrNoMember = errors.New("no member of etcd answers")
	// errToken: etcd does not know the token of this process's user. The client gets a new one.
	errToken = errors.New("etcd does not know the user's token")
)

// classes lists the errors that are not of class Unknown. The first that fits counts.
var classes = []struct {
	is    error
	class Class
}{
	{rpctypes.ErrTooManyOps, Refuse},
	{rpctypes.ErrRequestTooLarge, Refuse},
	{rpctypes.ErrDuplicateKey, Refuse},
	{rpctypes.ErrEmptyKey, Refuse},
	{rpctypes.ErrCompacted, Refuse},
	{rpctypes.ErrFutureRev, Refuse},
	{rpctypes.ErrLeaseNotFound, Refuse},
	{rpctypes.ErrPermissionDenied, Refuse},
	{rpctypes.ErrAuthFailed, Refuse},
	{rpctypes.ErrUserEmpty, Refuse},

	// A member without a leader refuses a request before it looks at it.
	{rpctypes.ErrNoLeader, Retry},
	{rpctypes.ErrTooManyRequests, Retry},
	{rpctypes.ErrInvalidAuthToken, Retry},
	{rpctypes.ErrAuthOldRevision, Retry},
	{errToken, Retry},
	{ErrNoMember, Retry},
}

// Classify returns the class of an error of a request.
func Classify(err error) Class {
	for _, c := range classes {
		if errors.Is(err, c.is) {
			return c.class
		}
	}
	// The size limit of a message, of the client or of the member.
	var ofEtcd rpctypes.EtcdError
	if !errors.As(err, &ofEtcd) && status.Code(err) == codes.ResourceExhausted {
		return Refuse
	}
	return Unknown
}

// Final reports whether it is useless to send the request again soon. One of these errors is of
// class Unknown: that etcd has no space is also the answer to the write that exceeds the quota.
func Final(err error) bool {
	return Classify(err) == Refuse || errors.Is(err, rpctypes.ErrNoSpace)
}
