package upstream

import (
	"context"
	"errors"
	"fmt"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/upstream/wire"
)

// Message returns the service message of the upstream, as the account may read it. The error is one of
// those of Pool.Acquire, or says that the upstream can't tell.
func (a *Account) Message(ctx context.Context) (text string, err error) {
	for range 2 { // once more if the session was lost
		if text, err = a.message(ctx); !errors.Is(err, ErrGone) {
			break
		}
	}
	return text, err
}

func (a *Account) message(ctx context.Context) (string, error) {
	content, err := a.upstream.Content(ctx)
	if err != nil {
		return "", err
	}
	use, err := a.any(ctx)
	if err != nil {
		return "", err
	}
	defer use.Done()
	s := use.Session()
	reader, err := s.Reader(ctx)
	if err != nil {
		return "", err
	}
	text, err := a.upstream.server.Client(s.cookie).Message(ctx, reader, *content.SessionManager)
	if _, without := wire.Fault[*types.ManagedObjectNotFound](err); wire.Ended(err) || without && s.Owns(reader) {
		s.Lost(err)
		return "", fmt.Errorf("%w: %w", ErrGone, err)
	}
	return text, err
}
