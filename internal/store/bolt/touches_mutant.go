//go:build mutant_touch

package bolt

import (
	"time"

	"github.com/vigate/vigate/internal/store"
)

// touches has a planted bug, for the proof that it is found: a touch creates
// again what was deleted meanwhile.
func touches(r store.Record, before old, _ time.Time) bool {
	return !before.found || before.Revision == r.Revision
}
