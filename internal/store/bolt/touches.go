//go:build !mutant_touch

package bolt

import (
	"time"

	"github.com/vigate/vigate/internal/store"
)

// touches reports whether a touch may write r over what is there now: only over
// the very record that was read.
func touches(r store.Record, before old, now time.Time) bool {
	return before.found && !before.Expired(now) && before.Revision == r.Revision
}
