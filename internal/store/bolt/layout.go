package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/vigate/vigate/internal/store"
)

// The layout of the file, schema 2. All numbers are big-endian.
//
//	bucket "meta"      name → sum(4) payload
//	                     "schema"          uint32
//	                     "revision"        uint64, of the newest commit
//	                     "sequence"+kind   uint64, schema 1 only: a counter, see counted
//	                     "sealed"          uint64, seconds from 1970; of a backup, see Seal
//	bucket "r"+kind    id → format(1)=1 sum(4) revision(8) seconds(8) nanoseconds(4) value
//	bucket "x"+kind    seconds(8) nanoseconds(4) id → nothing: records by expiry
//
// Seconds count from 1970. Their top bit is inverted, so that bytes sort as times do. Nanoseconds
// of 2³²−1 mean that the record never expires; it then has no entry in the "x" bucket. Sums are
// CRC-32C over the kind, the id or name, and all bytes after the sum.
const (
	schema        = 2
	countedSchema = 1

	recordFormat = 1
	recordHeader = 1 + 4 + 8 + 8 + 4
	expiryLen    = 8 + 4
	neverNanos   = math.MaxUint32
)

var (
	metaBucket  = []byte("meta")
	schemaKey   = []byte("schema")
	revisionKey = []byte("revision")

	castagnoli = crc32.MakeTable(crc32.Castagnoli)

	errSum    = errors.New("checksum does not match")
	errShort  = errors.New("too short")
	errFormat = errors.New("unknown record format")
)

func recordBucket(k store.Kind) []byte { return []byte{'r', byte(k)} }

func expiryBucket(k store.Kind) []byte { return []byte{'x', byte(k)} }

func sequenceKey(k store.Kind) []byte { return append([]byte("sequence"), byte(k)) }

// sum also covers the length of the name. So it detects a byte that moves from the name to the
// body.
func sum(k store.Kind, name, body []byte) uint32 {
	return crc32.Update(crc32.Update(uint32(k)|uint32(len(name))<<8, castagnoli, name), castagnoli, body)
}

func appendExpiry(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(b, 0), neverNanos)
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

// expiryKey returns the record's key in the "x" bucket.
func expiryKey(expires time.Time, id []byte) []byte {
	return append(appendExpiry(make([]byte, 0, expiryLen+len(id)), expires), id...)
}

// encode returns the stored form of the record under the id.
func encode(r store.Record, id []byte) []byte {
	b := make([]byte, 5, recordHeader+len(r.Value))
	b[0] = recordFormat
	b = binary.BigEndian.AppendUint64(b, uint64(r.Revision))
	b = append(appendExpiry(b, r.Expires), r.Value...)
	binary.BigEndian.PutUint32(b[1:], sum(r.Kind, id, b[5:]))
	return b
}

// decode reads the stored form. The record's Value is a part of b. The caller sets ID, which it
// often has as a string already.
func decode(k store.Kind, id, b []byte) (store.Record, error) {
	switch {
	case len(b) < recordHeader:
		return store.Record{}, errShort
	case sum(k, id, b[5:]) != binary.BigEndian.Uint32(b[1:]):
		return store.Record{}, errSum
	case b[0] != recordFormat:
		return store.Record{}, errFormat
	}
	return store.Record{
		Kind:     k,
		Revision: store.Revision(binary.BigEndian.Uint64(b[5:])),
		Expires:  parseExpiry(b[13:]),
		Value:    b[recordHeader:],
	}, nil
}

// putNumber writes a number into the meta bucket, and number reads it.
func putNumber(tx *bolt.Tx, key []byte, n uint64) error {
	b := binary.BigEndian.AppendUint64(make([]byte, 4, 12), n)
	binary.BigEndian.PutUint32(b, sum(0, key, b[4:]))
	return tx.Bucket(metaBucket).Put(key, b)
}

func number(tx *bolt.Tx, key []byte) (n uint64, ok bool, err error) {
	meta := tx.Bucket(metaBucket)
	if meta == nil {
		return 0, false, nil
	}
	b := meta.Get(key)
	switch {
	case b == nil:
		return 0, false, nil
	case len(b) != 12:
		err = fmt.Errorf("%d bytes, want 12", len(b))
	case sum(0, key, b[4:]) != binary.BigEndian.Uint32(b):
		err = errSum
	default:
		return binary.BigEndian.Uint64(b[4:]), true, nil
	}
	return 0, false, &store.DamagedError{Where: fmt.Sprintf("%s, %q", tx.DB().Path(), key), Cause: err}
}

// newest returns the revision of the newest commit that the transaction sees.
func newest(tx *bolt.Tx) (store.Revision, error) {
	n, ok, err := number(tx, revisionKey)
	if err == nil && !ok {
		err = &store.DamagedError{Where: tx.DB().Path(), Cause: errors.New("no revision")}
	}
	return store.Revision(n), err
}

// damaged returns an error that says which record can't be read.
func damaged(path string, k store.Kind, id []byte, cause error) error {
	return &store.DamagedError{Where: fmt.Sprintf("%s, kind %d, id %q", path, k, id), Cause: cause}
}
