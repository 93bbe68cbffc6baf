package named_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/vigate/vigate/internal/named"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/store"
)

var errSame = errors.New("names are the same")

func records() *named.Records[string] {
	return named.New[string](named.Options{Kind: "thing", Prefix: "t:", Same: errSame})
}

func name(user string) principal.Name { return principal.Extension(user) }

func put(r *named.Records[string], id, user string) []string {
	return r.Put(named.Entry[string]{ID: id, Revision: 7, Name: name(user), Value: user})
}

func TestARecordIsFoundByItsNameInAnyCase(t *testing.T) {
	r := records()
	put(r, "t:ann", "Ann")
	put(r, "t:bob", "bob")
	if v, d := r.Get(name("ANN")); v != "Ann" || d != nil {
		t.Errorf("%q, %v", v, d)
	}
	if v, d := r.Get(name("carl")); v != "" || d != nil {
		t.Errorf("unknown: %q, %v", v, d)
	}
	if all := slices.Collect(r.Sorted()); !slices.Equal(all, []string{"Ann", "bob"}) || r.Len() != 2 {
		t.Errorf("sorted: %q, %d", all, r.Len())
	}
	if !r.Alike("аnn") || r.Alike("dora") { // the first letter is Cyrillic
		t.Error("a name that looks like another is not told from one that does not")
	}
	r.Delete("t:ann")
	if v, _ := r.Get(name("ann")); v != "" || len(slices.Collect(r.All())) != 1 {
		t.Errorf("removed, and found as %q", v)
	}
}

func TestARecordThatCannotBeReadIsKnownAndNotFound(t *testing.T) {
	r, cause := records(), errors.New("torn")
	put(r, "t:ann", "ann")
	err := r.Damage("t:ann", 9, cause)
	_, d := r.Get(name("Ann"))
	if d == nil || d.ID != "t:ann" || d.Revision != 9 || !errors.Is(err, cause) {
		t.Fatalf("%+v, %v", d, err)
	}
	var damaged *store.DamagedError
	if !errors.As(r.Damaged(), &damaged) || r.Len() != 1 || len(r.Find(name("ann"))) != 0 {
		t.Errorf("damage %v, %d records", r.Damaged(), r.Len())
	}
	put(r, "t:ann", "ann")
	if v, d := r.Get(name("ann")); v != "ann" || d != nil || r.Damaged() != nil {
		t.Errorf("mended: %q, %v", v, d)
	}
}

func TestNoneOfTheRecordsOfOneNameIsFoundUntilOneIsLeft(t *testing.T) {
	r := records()
	put(r, "t:ann", "ann")
	if same := put(r, "t:ANN", "ANN"); !slices.Equal(same, []string{"t:ANN", "t:ann"}) {
		t.Errorf("the same: %q", same)
	}
	for _, spelling := range []string{"ann", "ANN"} {
		v, d := r.Get(name(spelling))
		if v != "" || d == nil || d.ID != "t:"+spelling || d.Revision != 7 || !errors.Is(d.Err, errSame) {
			t.Errorf("%s: %q, %+v", spelling, v, d)
		}
	}
	if !errors.Is(r.Damaged(), errSame) || len(r.Find(name("ann"))) != 2 {
		t.Errorf("damage %v", r.Damaged())
	}
	r.Delete("t:ANN")
	if v, d := r.Get(name("ANN")); v != "ann" || d != nil || r.Damaged() != nil {
		t.Errorf("one is left: %q, %v", v, d)
	}
}

func TestTheRecordsStayInForceWhileAStateIsLoaded(t *testing.T) {
	r := records()
	put(r, "t:ann", "ann")
	r.Reset()
	put(r, "t:bob", "bob")
	put(r, "t:carl", "carl")
	r.Delete("t:carl")
	if v, _ := r.Get(name("ann")); v != "ann" || r.Len() != 1 || !r.Loading() {
		t.Errorf("while it is loaded: %q, %d", v, r.Len())
	}
	r.Whole()
	if v, _ := r.Get(name("bob")); v != "bob" || r.Len() != 1 || r.Loading() {
		t.Errorf("after that: %q, %d", v, r.Len())
	}
	if r.Whole(); r.Len() != 1 {
		t.Error("a second Whole changes the records")
	}
}
