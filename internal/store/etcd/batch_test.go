package etcd

import (
	"fmt"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/etcd/layout"
)

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
		{[]store.Change{other}, []store.Change{store.Put(store.Setting, "s", make([]byte, maxBytes), time.Time{})},
			false},
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
		if g := q.take(layout.NewKeys(""), time.Now()); fmt.Sprint(g.requests) != fmt.Sprint(want) {
			t.Errorf("%v and %v: %d share a transaction", c.a, c.b, len(g.requests))
		}
		if !c.shared && !q.withdraw(b) {
			t.Errorf("%v and %v: the second does not wait", c.a, c.b)
		}
	}
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
	g := newBatch(layout.NewKeys(""), time.Now())
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
	if err != nil || len(built.When) != enough+2 {
		t.Errorf("%d logins have %d conditions, %v", enough, len(built.When), err)
	}
}
