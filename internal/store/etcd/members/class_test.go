package members

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestErrorsSayWhetherARequestWasExecuted(t *testing.T) {
	for _, c := range []struct {
		err   error
		class Class
		final bool
	}{
		{context.DeadlineExceeded, Unknown, false},
		{errors.New("the connection is lost"), Unknown, false},
		{rpctypes.ErrTimeout, Unknown, false},
		{rpctypes.ErrNoSpace, Unknown, true},
		{rpctypes.ErrNoLeader, Retry, false},
		{fmt.Errorf("send: %w", rpctypes.ErrInvalidAuthToken), Retry, false},
		{fmt.Errorf("%w: %w", ErrNoMember, context.DeadlineExceeded), Retry, false},
		{fmt.Errorf("%w: %w", ErrNoMember, rpctypes.ErrAuthFailed), Refuse, true},
		{rpctypes.ErrPermissionDenied, Refuse, true},
		{rpctypes.ErrTooManyOps, Refuse, true},
		{status.Error(codes.ResourceExhausted, "message larger than max"), Refuse, true},
		{rpctypes.ErrTooManyRequests, Retry, false}, // also has the code ResourceExhausted
	} {
		if got := Classify(c.err); got != c.class || Final(c.err) != c.final {
			t.Errorf("%v: class %d, final %v", c.err, got, Final(c.err))
		}
	}
}
