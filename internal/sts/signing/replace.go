package signing

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vigate/vigate/internal/store"
)

// State is what a key is used for.
type State string

// The states of a key.
const (
	Signing State = "signing" // it signs, and its tokens are accepted
	Next    State = "next"    // it will sign, and its tokens are accepted
	Trusted State = "trusted" // it signs no more, and its tokens are accepted
)

// Key describes one key.
type Key struct {
	Number     uint64
	Thumbprint [sha256.Size]byte // SHA-256 of the certificate
	State      State
	Signs      time.Time // from when on it signs
	// Until is when it is removed. It is zero for the newest key, whose successor is not there yet.
	Until time.Time
}

// List returns the keys in the order in which they were made.
func (k *Keys) List() []Key {
	all, now := k.keys(), k.now()
	signer := current(all, now)
	list := make([]Key, len(all))
	for i, a := range all {
		list[i] = Key{
			Number: a.number, Thumbprint: a.thumbprint(), State: Trusted, Signs: a.signs,
			Until: k.until(all, i),
		}
		switch {
		case a == signer:
			list[i].State = Signing
		case now.Before(a.signs) && (signer == nil || signer.number < a.number):
			list[i].State = Next
		}
	}
	return list
}

// maxKeys is how many keys there may be for Replace to add another one. Each of them costs a little time in
// the verification of a token that none has signed.
const maxKeys = 16

// ErrTooMany is returned by Replace if too many keys are trusted already.
var ErrTooMany = errors.New("too many keys are trusted")

// Replace makes a new key, which signs at once, also before one that was to sign next. If distrust is
// set, it removes all other keys in the same commit: no server accepts their tokens any more. Otherwise
// they stay trusted as after a change in time. also returns further changes of the commit, such as an
// event. The result is the new key. Errors: ErrTooMany, wrapped, or the store's.
func (k *Keys) Replace(ctx context.Context, distrust bool, also func(Key) []store.Change) (Key, error) {
	made, err := k.replace(ctx, distrust, also)
	if err != nil {
		return Key{}, fmt.Errorf("replace key of the token service: %w", err)
	}
	k.logger.Info("the key of the token service is replaced", "number", made.Number, "distrust", distrust)
	return made, nil
}

func (k *Keys) replace(ctx context.Context, distrust bool, also func(Key) []store.Change) (Key, error) {
	if err := k.mirror.Sync(ctx); err != nil {
		return Key{}, err
	}
	for range maxTries {
		all, now := k.keys(), k.now().UTC().Truncate(time.Second)
		if len(all) >= maxKeys && !distrust {
			return Key{}, fmt.Errorf("%w: %d", ErrTooMany, len(all))
		}
		made, err := k.commit(ctx, all, now, distrust, also)
		if !errors.Is(err, store.ErrConflict) {
			return made, err
		}
	}
	return Key{}, errContended
}

// commit makes a key that signs from now on and is the next one after all keys.
func (k *Keys) commit(
	ctx context.Context, all []*key, now time.Time, distrust bool, also func(Key) []store.Change,
) (Key, error) {
	number, created, err := k.create(ctx, all, now)
	if err != nil {
		return Key{}, err
	}
	fresh, err := decode(created.Record)
	if err != nil {
		return Key{}, err
	}
	made := Key{Number: number, Thumbprint: fresh.thumbprint(), State: Signing, Signs: now}
	changes := newest(all)
	if distrust {
		changes = nil // the removal of the newest key depends on the same condition
		for _, old := range all {
			changes = append(changes, store.DeleteAt(store.SigningKey, old.id(), old.revision))
		}
	}
	_, err = k.mirror.Commit(ctx, slices.Concat(changes, []store.Change{created}, also(made))...)
	return made, err
}

func (k *key) thumbprint() [sha256.Size]byte { return sha256.Sum256(k.certificate().Raw) }
