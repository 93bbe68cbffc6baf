// Package layout defines how records are stored in etcd: the names of the keys, and
// the encoding of the values. It does not talk to etcd.
//
// All keys begin with the prefix:
//
//	format              the layout: "vigate store 2". While a copy fills the prefix,
//	                    "vigate store 2, being filled " and an identifier of the copy
//	r/head              empty; every commit writes it, so its revision is that of the
//	                    newest commit, and a watch of r/ sees every commit
//	r/KIND/ID           a record; KIND is two hexadecimal digits
//	lease/LEASE         the name of the node that holds the lease; exists as long as
//	                    the lease does
//	fence/LEASE/NUMBER  empty; see the fences of package etcd
//	sweep               the name of the node that removes expired records
//	q/KIND              layout 1 only: a counter, see CountedRecords
//
// The value of a record, in big-endian order:
//
//	seconds(8) nanoseconds(4) major(1)=1 minor(1)=0 extra-length(2) extra sum(4) value
//
// The expiry comes first: the seconds since 1970 with their top bit inverted, and the
// nanoseconds. So values sort by their expiry, and a transaction can require that a
// record has not expired. All bits of the expiry are one for a record that never expires.
//
// A newer program with the same major version may store something in extra. This program
// ignores extra, and drops it when it writes the record again. It does not read records
// with a greater major version.
//
// A sum is the CRC-32C of the kind, the ID, and everything but the sum itself.
package layout

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/vigate/vigate/internal/store"
)

// Values of the key format.
const (
	Format        = "vigate store 2"
	CountedFormat = "vigate store 1"  // a store of layout 1
	Filling       = ", being filled " // follows the layout while a copy fills the prefix
)

const (
	major        = 1
	minor        = 0
	expiryLen    = 8 + 4
	headerLen    = expiryLen + 1 + 1 + 2
	sumLen       = 4
	counterLen   = 8 + sumLen
	neverSeconds = math.MaxUint64
	neverNanos   = math.MaxUint32
)

// ErrNewer is the error of a record that a newer program wrote.
var ErrNewer = errors.New("record was written by a newer program")

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)

	errSum   = errors.New("checksum does not match")
	errShort = errors.New("too short")
	errKey   = errors.New("key names no record")
)

// Keys makes the names of keys.
type Keys struct {
	Prefix string // ends with a slash
}

// NewKeys returns the keys under the prefix; empty: vigate.
func NewKeys(prefix string) Keys {
	prefix = strings.Trim(prefix, "/")
	if prefix == "" {
		prefix = "vigate"
	}
	return Keys{"/" + prefix + "/"}
}

// Format is the key of the layout.
func (k Keys) Format() string { return k.Prefix + "format" }

// Records is the prefix of all records, and of Head.
func (k Keys) Records() string { return k.Prefix + "r/" }

// Head is the key that every commit writes.
func (k Keys) Head() string { return k.Prefix + "r/head" }

// Sweep is the key of the node that removes expired records.
func (k Keys) Sweep() string { return k.Prefix + "sweep" }

// Counters is the prefix of the counters of layout 1.
func (k Keys) Counters() string { return k.Prefix + "q/" }

// Kind is the prefix of all records of a kind.
func (k Keys) Kind(kind store.Kind) string { return fmt.Sprintf("%sr/%02x/", k.Prefix, uint8(kind)) }

// Record is the key of a record.
func (k Keys) Record(kind store.Kind, id string) string { return k.Kind(kind) + id }

// Lease is the key of a lease.
func (k Keys) Lease(lease int64) string { return fmt.Sprintf("%slease/%016x", k.Prefix, lease) }

// Fence is the key of the nth fence of a lease.
func (k Keys) Fence(lease int64, n uint64) string {
	return fmt.Sprintf("%sfence/%016x/%d", k.Prefix, lease, n)
}

// Parse returns which record a key under Records names.
func (k Keys) Parse(key []byte) (store.Kind, string, error) {
	rest, ok := strings.CutPrefix(string(key), k.Records())
	if !ok || len(rest) < 4 || rest[2] != '/' {
		return 0, "", Damaged(key, errKey)
	}
	kind, err := hex.DecodeString(rest[:2])
	if err != nil || !store.ValidID(rest[3:]) {
		return 0, "", Damaged(key, errKey)
	}
	return store.Kind(kind[0]), rest[3:], nil
}

// Decode returns the record that is stored as kv. Its Value is a part of kv's. The error is a
// *store.DamagedError or ErrNewer.
func (k Keys) Decode(kv *mvccpb.KeyValue) (store.Record, error) {
	kind, id, err := k.Parse(kv.Key)
	if err != nil {
		return store.Record{}, err
	}
	r, err := decode(kind, id, kv.Value)
	switch {
	case errors.Is(err, ErrNewer):
		return store.Record{}, fmt.Errorf("read record of kind %d: %w", kind, err)
	case err != nil:
		return store.Record{}, Damaged(kv.Key, err)
	}
	r.Revision = store.Revision(kv.ModRevision)
	return r, nil
}

// Damaged returns the error of a key whose value can't be read.
func Damaged(key []byte, cause error) error {
	return &store.DamagedError{Where: fmt.Sprintf("etcd key %q", key), Cause: cause}
}

func appendExpiry(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(b, neverSeconds), neverNanos)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(t.Unix())^1<<63)
	return binary.BigEndian.AppendUint32(b, uint32(t.Nanosecond()))
}

func parseExpiry(b []byte) time.Time {
	nanos := binary.BigEndian.Uint32(b[8:])
	if nanos == neverNanos {
		return time.Time{}
	}
	return time.Unix(int64(binary.BigEndian.Uint64(b)^1<<63), int64(nanos)).UTC()
}

// Alive returns what the value of a record is greater than if it has not expired at now: the
// expiry that is one nanosecond later.
func Alive(now time.Time) string { return string(appendExpiry(nil, now.Add(1))) }

// sum includes the length of the ID. Without it, a byte could move from the end of the ID to what
// follows.
func sum(k store.Kind, id string, parts ...[]byte) uint32 {
	s := crc32.Update(uint32(k)|uint32(len(id))<<8, castagnoli, []byte(id))
	for _, p := range parts {
		s = crc32.Update(s, castagnoli, p)
	}
	return s
}

// Encode returns the value that is stored for a record.
func Encode(r store.Record) string {
	b := make([]byte, 0, headerLen+sumLen+len(r.Value))
	b = append(appendExpiry(b, r.Expires), major, minor, 0, 0)
	b = binary.BigEndian.AppendUint32(b, sum(r.Kind, r.ID, b, r.Value))
	return string(append(b, r.Value...))
}

func decode(k store.Kind, id string, b []byte) (store.Record, error) {
	if len(b) < headerLen+sumLen {
		return store.Record{}, errShort
	}
	if b[expiryLen] > major {
		return store.Record{}, ErrNewer
	}
	head := headerLen + int(binary.BigEndian.Uint16(b[headerLen-2:]))
	if len(b) < head+sumLen {
		return store.Record{}, errShort
	}
	value := b[head+sumLen:]
	if binary.BigEndian.Uint32(b[head:]) != sum(k, id, b[:head], value) {
		return store.Record{}, errSum
	}
	return store.Record{Kind: k, ID: id, Value: value, Expires: parseExpiry(b)}, nil
}

// CountedRecords returns the records that take the place of the counters of layout 1. Append took
// the IDs of its records from a counter of their kind. What a counter has reached is stored as the
// store.Numbering of the kind.
func (k Keys) CountedRecords(counters []*mvccpb.KeyValue) ([]store.Record, error) {
	var all []store.Record
	for _, kv := range counters {
		rest, ok := strings.CutPrefix(string(kv.Key), k.Counters())
		kind, err := hex.DecodeString(rest)
		if !ok || err != nil || len(kind) != 1 {
			return nil, Damaged(kv.Key, errKey)
		}
		appended := store.Kind(kind[0])
		n, err := decodeCounter(appended, kv.Value)
		if err != nil {
			return nil, Damaged(kv.Key, err)
		}
		if appended.Appended() {
			all = append(all, store.Numbering{Counted: n}.Record(appended))
		}
	}
	return all, nil
}

func decodeCounter(k store.Kind, b []byte) (uint64, error) {
	switch {
	case len(b) != counterLen:
		return 0, fmt.Errorf("%d bytes, want %d", len(b), counterLen)
	case binary.BigEndian.Uint32(b[8:]) != sum(k, "", b[:8]):
		return 0, errSum
	}
	return binary.BigEndian.Uint64(b), nil
}
