package layout

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/vigate/vigate/internal/store"
)

func TestValuesCompareAsTheirExpiriesDo(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 999999999, time.UTC)
	times := []time.Time{
		time.Date(1601, 1, 1, 0, 0, 0, 1, time.UTC), time.Unix(-1, 0), time.Unix(0, 0), at.Add(-1), at, at.Add(1),
		time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC), {},
	}
	for i, now := range times[:len(times)-1] {
		for j, expires := range times {
			r := store.Record{Kind: store.Session, ID: "a", Expires: expires}
			if held := Encode(r) > Alive(now); held == r.Expired(now) || held != (j > i) {
				t.Errorf("a record that expires at %v is alive at %v: %v", expires, now, held)
			}
		}
	}
}

func TestEveryChangedBitOfARecordIsFound(t *testing.T) {
	r := store.Record{Kind: store.Session, ID: "id", Value: []byte("value"), Expires: time.Unix(1, 2)}
	b := []byte(Encode(r))
	got, err := decode(r.Kind, r.ID, b)
	if err != nil || string(got.Value) != "value" || !got.Expires.Equal(r.Expires) {
		t.Fatalf("decode = %+v, %v", got, err)
	}
	for i := range b {
		for bit := range 8 {
			bad := bytes.Clone(b)
			bad[i] ^= 1 << bit
			if _, err := decode(r.Kind, r.ID, bad); err == nil {
				t.Errorf("bit %d of byte %d may change", bit, i)
			}
		}
		if _, err := decode(r.Kind, r.ID, b[:i]); err == nil {
			t.Errorf("the first %d bytes are taken for all", i)
		}
	}
	if _, err := decode(r.Kind, "ie", b); !errors.Is(err, errSum) {
		t.Errorf("under another id: %v", err)
	}
	if _, err := decode(store.Ticket, r.ID, b); !errors.Is(err, errSum) {
		t.Errorf("as another kind: %v", err)
	}
}

// newer is a record as a later program may write it.
func newer(major, minor byte, extra string) *mvccpb.KeyValue {
	b := append(appendExpiry(nil, time.Time{}), major, minor)
	b = binary.BigEndian.AppendUint16(b, uint16(len(extra)))
	b = append(b, extra...)
	b = binary.BigEndian.AppendUint32(b, sum(store.Session, "a", b, []byte("value")))
	return &mvccpb.KeyValue{Key: []byte("/vigate/r/01/a"), Value: append(b, "value"...), ModRevision: 7}
}

func TestARecordOfANewerMinorVersionIsRead(t *testing.T) {
	k := NewKeys("")
	r, err := k.Decode(newer(major, minor+1, "something new"))
	if err != nil || string(r.Value) != "value" || r.ID != "a" || r.Revision != 7 {
		t.Errorf("decode = %+v, %v", r, err)
	}
	var damage *store.DamagedError
	if _, err := k.Decode(newer(major+1, 0, "")); !errors.Is(err, ErrNewer) || errors.As(err, &damage) {
		t.Errorf("a record of a newer major version gives %v", err)
	}
}

func TestOnlyRecordKeysNameRecords(t *testing.T) {
	k := NewKeys("/a/b/")
	if got := k.Record(store.Event, "x/\xff"); got != "/a/b/r/09/x/\xff" {
		t.Errorf("key %q", got)
	}
	if kind, id, err := k.Parse([]byte("/a/b/r/09/x/\xff")); err != nil || kind != store.Event || id != "x/\xff" {
		t.Errorf("parse = %d, %q, %v", kind, id, err)
	}
	for _, key := range []string{"", "/a/b/r/", "/a/b/r/head", "/a/b/r/09/", "/a/b/r/zz/x", "/a/b/r/1/xy",
		"/a/b/q/09/x", "/a/b/r/09/" + strings.Repeat("x", 513)} {
		if _, _, err := k.Parse([]byte(key)); err == nil {
			t.Errorf("%q names a record", key)
		}
	}
}

func FuzzRecordsDecode(f *testing.F) {
	r := store.Record{Kind: store.Session, ID: "a", Value: []byte("value"), Expires: time.Unix(1, 2)}
	f.Add([]byte("/vigate/r/01/a"), []byte(Encode(r)))
	kv := newer(major, minor+1, "new")
	f.Add(kv.Key, kv.Value)
	f.Add([]byte("/vigate/r/head"), []byte{})
	k := NewKeys("")
	f.Fuzz(func(t *testing.T, key, value []byte) {
		r, err := k.Decode(&mvccpb.KeyValue{Key: key, Value: value})
		if err != nil {
			return
		}
		if k.Record(r.Kind, r.ID) != string(key) {
			t.Errorf("%q is read as kind %d, %q", key, r.Kind, r.ID)
		}
		again, err := decode(r.Kind, r.ID, []byte(Encode(r)))
		if err != nil || !bytes.Equal(again.Value, r.Value) || !again.Expires.Equal(r.Expires) {
			t.Errorf("%+v is written and read as %+v, %v", r, again, err)
		}
	})
}

func FuzzCountersDecode(f *testing.F) {
	f.Add([]byte(encodeCounter(store.Event, 7)))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := decodeCounter(store.Event, b); err == nil && encodeCounter(store.Event, n) != string(b) {
			t.Errorf("%x is read as %d", b, n)
		}
	})
}

func encodeCounter(k store.Kind, n uint64) string {
	b := binary.BigEndian.AppendUint64(nil, n)
	return string(binary.BigEndian.AppendUint32(b, sum(k, "", b)))
}
