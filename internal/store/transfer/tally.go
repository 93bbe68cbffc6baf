package transfer

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/vigate/vigate/internal/store"
)

// tally collects one hash for each record of a store. The order of the records does not matter. It
// takes 32 bytes for each record.
type tally struct {
	sums map[store.Kind][][sha256.Size]byte
	buf  []byte
}

func newTally() *tally { return &tally{sums: map[store.Kind][][sha256.Size]byte{}} }

// add adds a record. A length precedes everything of variable length.
func (t *tally) add(r store.Record) {
	b := append(t.buf[:0], byte(r.Kind))
	b = append(binary.BigEndian.AppendUint32(b, uint32(len(r.ID))), r.ID...)
	seconds, nanos := int64(math.MaxInt64), uint32(math.MaxUint32) // never
	if !r.Expires.IsZero() {
		seconds, nanos = r.Expires.Unix(), uint32(r.Expires.Nanosecond())
	}
	b = binary.BigEndian.AppendUint64(b, uint64(seconds))
	b = binary.BigEndian.AppendUint32(b, nanos)
	t.buf = append(b, r.Value...)
	t.sums[r.Kind] = append(t.sums[r.Kind], sha256.Sum256(t.buf))
}

func (t *tally) report() Report {
	r := Report{Records: map[store.Kind]int{}}
	all := sha256.New()
	for _, k := range slices.Sorted(maps.Keys(t.sums)) {
		sums := t.sums[k]
		slices.SortFunc(sums, func(a, b [sha256.Size]byte) int { return bytes.Compare(a[:], b[:]) })
		for i := range sums {
			all.Write(sums[i][:])
		}
		r.Records[k] = len(sums)
	}
	r.Digest = hex.EncodeToString(all.Sum(nil))
	return r
}

// same returns an error that says how the report differs from the wanted one.
func (r Report) same(want Report) error {
	for k := store.Kind(1); k != 0; k++ {
		if r.Records[k] != want.Records[k] {
			return fmt.Errorf("%w: %d records of kind %d, want %d", ErrDiffers, r.Records[k], k, want.Records[k])
		}
	}
	if r.Digest != want.Digest {
		return fmt.Errorf("%w: digest %s, want %s", ErrDiffers, r.Digest, want.Digest)
	}
	return nil
}
