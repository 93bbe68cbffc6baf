package etcd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

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
			if held := encode(r) > alive(now); held == r.Expired(now) || held != (j > i) {
				t.Errorf("a record that expires at %v is alive at %v: %v", expires, now, held)
			}
		}
	}
}

func TestEveryChangedBitOfARecordIsFound(t *testing.T) {
	r := store.Record{Kind: store.Session, ID: "id", Value: []byte("value"), Expires: time.Unix(1, 2)}
	b := []byte(encode(r))
	if got, err := decode(r.Kind, r.ID, b); err != nil || string(got.Value) != "value" || !got.Expires.Equal(r.Expires) {
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
	k := newKeys("")
	r, err := k.decode(newer(major, minor+1, "something new"))
	if err != nil || string(r.Value) != "value" || r.ID != "a" || r.Revision != 7 {
		t.Errorf("decode = %+v, %v", r, err)
	}
	var damage *store.DamagedError
	if _, err := k.decode(newer(major+1, 0, "")); !errors.Is(err, errNewer) || errors.As(err, &damage) {
		t.Errorf("a record of a newer major version gives %v", err)
	}
}

func TestOnlyRecordKeysNameRecords(t *testing.T) {
	k := newKeys("/a/b/")
	if got := k.record(store.Event, "x/\xff"); got != "/a/b/r/09/x/\xff" {
		t.Errorf("key %q", got)
	}
	if kind, id, err := k.parse([]byte("/a/b/r/09/x/\xff")); err != nil || kind != store.Event || id != "x/\xff" {
		t.Errorf("parse = %d, %q, %v", kind, id, err)
	}
	for _, key := range []string{"", "/a/b/r/", "/a/b/r/head", "/a/b/r/09/", "/a/b/r/zz/x", "/a/b/r/1/xy", "/a/b/q/09/x", "/a/b/r/09/" + strings.Repeat("x", 513)} {
		if _, _, err := k.parse([]byte(key)); err == nil {
			t.Errorf("%q names a record", key)
		}
	}
}

func TestOperationsAreNestedWithinEtcdsLimit(t *testing.T) {
	for _, ops := range []int{0, 1, 100, flatOps, flatOps + 1, 256, 1000, 3800} {
		for _, beside := range []int{0, 3, 60, 100, flatOps, flatOps + 1} {
			nested, err := nest(make([]clientv3.Op, ops), beside)
			if err != nil {
				if ops <= flatOps && beside <= flatOps || ops <= 1000 && beside <= 60 {
					t.Errorf("%d operations beside %d: %v", ops, beside, err)
				}
				continue
			}
			sum, longest := 0, 0
			for _, op := range nested {
				n := 1
				if op.IsTxn() {
					_, then, _ := op.Txn()
					n = len(then)
					longest = max(longest, n)
				}
				sum += n
			}
			if sum != ops || max(len(nested), beside)+longest+spareOps > maxOps {
				t.Errorf("%d operations beside %d: %d in %d lists of up to %d", ops, beside, sum, len(nested), longest)
			}
		}
	}
}

func TestCommitsShareATransactionOnlyWhereNoneWritesWhatAnotherNames(t *testing.T) {
	read, write := store.Require(store.Session, "a"), store.Clear(store.Session, "a")
	other, event := store.Clear(store.Session, "b"), store.Append(store.Event, nil, time.Time{})
	for _, c := range []struct {
		a, b   []store.Change
		shared bool
	}{
		{[]store.Change{read}, []store.Change{read}, true},
		{[]store.Change{read, event}, []store.Change{event}, true},
		{[]store.Change{write}, []store.Change{other}, true},
		{[]store.Change{read}, []store.Change{other, write}, false},
		{[]store.Change{write}, []store.Change{other, read}, false},
		{[]store.Change{write, event}, []store.Change{write}, false},
		{[]store.Change{other}, []store.Change{store.Put(store.Setting, "s", make([]byte, maxBytes), time.Time{})}, false},
	} {
		var q queue
		q.init()
		a, b := &request{changes: c.a}, &request{changes: c.b}
		q.add(a)
		q.add(b)
		want := []*request{a}
		if c.shared {
			want = append(want, b)
		}
		if g := q.take(newKeys(""), time.Now()); fmt.Sprint(g.requests) != fmt.Sprint(want) {
			t.Errorf("%v and %v: %d share a transaction", c.a, c.b, len(g.requests))
		}
		if !c.shared && !q.withdraw(b) {
			t.Errorf("%v and %v: the second does not wait", c.a, c.b)
		}
	}
}

func FuzzRecordsDecode(f *testing.F) {
	r := store.Record{Kind: store.Session, ID: "a", Value: []byte("value"), Expires: time.Unix(1, 2)}
	f.Add([]byte("/vigate/r/01/a"), []byte(encode(r)))
	kv := newer(major, minor+1, "new")
	f.Add(kv.Key, kv.Value)
	f.Add([]byte("/vigate/r/head"), []byte{})
	k := newKeys("")
	f.Fuzz(func(t *testing.T, key, value []byte) {
		r, err := k.decode(&mvccpb.KeyValue{Key: key, Value: value})
		if err != nil {
			return
		}
		if k.record(r.Kind, r.ID) != string(key) {
			t.Errorf("%q is read as kind %d, %q", key, r.Kind, r.ID)
		}
		again, err := decode(r.Kind, r.ID, []byte(encode(r)))
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

// wait has so many requests wait.
func wait(q *queue, n int) {
	for range n {
		q.add(&request{})
	}
}

func TestAWriterWaitsForTheCallersThatItHasJustAnswered(t *testing.T) {
	for _, c := range []struct {
		name                    string
		waiting, answered, more int
		took, later             time.Duration
		waits                   bool
	}{
		{"for those that were answered", 0, 3, 2, time.Millisecond, 0, true},
		{"beside those that waited already", 3, 3, 2, time.Millisecond, 0, true},
		{"until all are there", 3, 3, 3, time.Millisecond, 0, false},
		{"not for a lone one", 0, 1, 0, time.Millisecond, 0, false},
		{"not for longer than a transaction takes", 0, 3, 2, time.Millisecond, time.Millisecond, false},
		{"not for long if a transaction takes long", 0, 3, 2, time.Hour, maxGather, false},
		{"not for more than a transaction takes in", enough - 1, 3, 1, time.Millisecond, 0, false},
	} {
		var q queue
		q.init()
		wait(&q, c.waiting)
		q.expect(c.answered, c.took)
		began := q.until.Add(-min(c.took, maxGather))
		wait(&q, c.more)
		if got := q.patience(began.Add(c.later)) > 0; got != c.waits {
			t.Errorf("%s: waits is %v", c.name, got)
		}
		q.close()
		if q.patience(began) > 0 {
			t.Errorf("%s: a closed queue waits", c.name)
		}
	}
}

func TestRequestsThatHaveAConditionInCommonSayItOnce(t *testing.T) {
	g := newGroup(newKeys(""), time.Now())
	for i := range enough {
		r := &request{changes: []store.Change{
			store.RequireAt(store.Extension, "e", 7), store.Create(store.Session, fmt.Sprint(i), nil, time.Time{}),
			store.Append(store.Event, nil, time.Time{}),
		}}
		if !g.join(r) {
			t.Fatalf("request %d does not fit", i)
		}
	}
	built, err := g.build(func() string { return "id" })
	if err != nil || len(built.when) != enough+2 {
		t.Errorf("%d logins have %d conditions, %v", enough, len(built.when), err)
	}
}
