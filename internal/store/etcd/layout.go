package etcd

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

// The keys, layout 2, each under the prefix:
//
//	format             "vigate store 2", or while it is being filled "vigate
//	                   store 2, being filled " and who fills it
//	r/head             nothing: written with every commit, so that its revision
//	                   is that of the newest one, and that a watch of r/ sees
//	                   every commit
//	r/KIND/ID          a record; KIND is two hex digits
//	q/KIND             layout 1 only: a counter, see counted
//	lease/LEASE        the node's name, as long as it lives
//	slot/LEASE/NUMBER  nothing: see lane
//	sweep              the name of the node that sweeps
//
// A record's value, big-endian:
//
//	seconds(8) nanoseconds(4) major(1)=1 minor(1)=0 extra-length(2) extra sum(4) value
//
// The expiry comes first, seconds from 1970 with their top bit turned, so that
// values compare as their expiries do and a transaction can hold a record to
// not having expired. A record without expiry has only one bits there.
//
// A newer program of the same major version may put something in extra, which
// this one passes over, and which must be such that nothing is lost when this
// one writes the record again. It may not read another major version at all.
//
// Sums are CRC-32C over the kind, the id, and all but the sum.
const (
	format        = "vigate store 2"
	countedFormat = "vigate store 1"
	beingFilled   = ", being filled "

	major        = 1
	minor        = 0
	expiryLen    = 8 + 4
	headerLen    = expiryLen + 1 + 1 + 2
	sumLen       = 4
	counterLen   = 8 + sumLen
	neverSeconds = math.MaxUint64
	neverNanos   = math.MaxUint32
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)

	errSum   = errors.New("checksum does not match")
	errShort = errors.New("too short")
	errKey   = errors.New("key names no record")
	errNewer = errors.New("record was written by a newer program")
)

// keys makes the keys under a prefix that ends with a slash.
type keys struct{ prefix string }

func newKeys(prefix string) keys {
	prefix = strings.Trim(prefix, "/")
	if prefix == "" {
		prefix = "vigate"
	}
	return keys{"/" + prefix + "/"}
}

func (k keys) format() string  { return k.prefix + "format" }
func (k keys) records() string { return k.prefix + "r/" }
func (k keys) head() string    { return k.prefix + "r/head" }
func (k keys) sweep() string   { return k.prefix + "sweep" }

func (k keys) kind(kind store.Kind) string { return fmt.Sprintf("%sr/%02x/", k.prefix, uint8(kind)) }

func (k keys) record(kind store.Kind, id string) string { return k.kind(kind) + id }

func (k keys) counters() string { return k.prefix + "q/" }

// counterKind finds which kind's counter a key under counters is.
func (k keys) counterKind(key []byte) (store.Kind, error) {
	rest, ok := strings.CutPrefix(string(key), k.counters())
	kind, err := hex.DecodeString(rest)
	if !ok || err != nil || len(kind) != 1 {
		return 0, damaged(key, errKey)
	}
	return store.Kind(kind[0]), nil
}

func (k keys) lease(lease int64) string { return fmt.Sprintf("%slease/%016x", k.prefix, lease) }

func (k keys) slot(lease int64, n uint64) string {
	return fmt.Sprintf("%sslot/%016x/%d", k.prefix, lease, n)
}

// parse finds which record a key under records names.
func (k keys) parse(key []byte) (store.Kind, string, error) {
	rest, ok := strings.CutPrefix(string(key), k.records())
	if !ok || len(rest) < 4 || rest[2] != '/' {
		return 0, "", errKey
	}
	kind, err := hex.DecodeString(rest[:2])
	if err != nil || !store.ValidID(rest[3:]) {
		return 0, "", errKey
	}
	return store.Kind(kind[0]), rest[3:], nil
}

// record reads a record from what etcd holds. Its Value is a part of kv's.
func (k keys) decode(kv *mvccpb.KeyValue) (store.Record, error) {
	kind, id, err := k.parse(kv.Key)
	if err != nil {
		return store.Record{}, damaged(kv.Key, err)
	}
	r, err := decode(kind, id, kv.Value)
	switch {
	case errors.Is(err, errNewer):
		return store.Record{}, fmt.Errorf("read record of kind %d: %w", kind, err)
	case err != nil:
		return store.Record{}, damaged(kv.Key, err)
	}
	r.Revision = store.Revision(kv.ModRevision)
	return r, nil
}

func damaged(key []byte, cause error) error {
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

// alive is what the value of a record that has not expired at now is greater
// than, as bytes: the shortest that could expire right after.
func alive(now time.Time) string { return string(appendExpiry(nil, now.Add(1))) }

// sum covers the id's length too, so that no byte can pass from the id to what
// follows unseen.
func sum(k store.Kind, id string, parts ...[]byte) uint32 {
	s := crc32.Update(uint32(k)|uint32(len(id))<<8, castagnoli, []byte(id))
	for _, p := range parts {
		s = crc32.Update(s, castagnoli, p)
	}
	return s
}

// encode makes the value under the record's key.
func encode(r store.Record) string {
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
		return store.Record{}, errNewer
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

// encodeCounter makes the value under a kind's counter.
func encodeCounter(k store.Kind, n uint64) string {
	b := binary.BigEndian.AppendUint64(nil, n)
	return string(binary.BigEndian.AppendUint32(b, sum(k, "", b)))
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
