package instance

import (
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/budget"
	"github.com/vigate/vigate/internal/session"
)

type closer struct{ closed int }

func (c *closer) Close() { c.closed++ }

// fixture is a table, and the holds of one session.
type fixture struct {
	*Table
	t      *testing.T
	ledger *budget.Ledger
	owner  session.Key
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	return &fixture{NewTable(), t, budget.NewLedger(budget.Default()), session.Key{1}}
}

func (f *fixture) add(value any) types.ManagedObjectReference {
	f.t.Helper()
	hold, err := f.ledger.Reserve(f.owner.String(), "user", budget.Of(budget.Memory, Weight))
	if err != nil {
		f.t.Fatal(err)
	}
	return f.Add(f.owner, "Thing", value, hold)
}

func TestAnObjectIsFoundOnlyByItsOwner(t *testing.T) {
	f := newFixture(t)
	value := &closer{}
	ref := f.add(value)
	if !Owned(ref) || ref.Type != "Thing" || Owned(types.ManagedObjectReference{Type: "Folder", Value: "group-d1"}) {
		t.Errorf("reference %v", ref)
	}
	if got := f.Get(f.owner, ref); got != value {
		t.Errorf("the owner gets %v", got)
	}
	if got := f.Get(session.Key{}, ref); got != nil {
		t.Errorf("another session gets %v", got)
	}
	ref.Type = "Other"
	if got := f.Get(f.owner, ref); got != nil {
		t.Errorf("as another type it is %v", got)
	}
}

func TestNothingIsLeftOfAnObjectThatIsRemoved(t *testing.T) {
	f := newFixture(t)
	value := &closer{}
	ref := f.add(value)
	if err := f.Resize(ref, 88); err != nil || f.ledger.Session(f.owner.String())[budget.Memory] != Weight+88 {
		t.Errorf("resized: %v, %v", err, f.ledger.Session(f.owner.String()))
	}
	f.Remove(ref)
	f.Remove(ref)
	if value.closed != 1 || len(f.owned)+len(f.state) != 0 || f.Get(f.owner, ref) != nil {
		t.Errorf("closed %d times, %v and %v are left", value.closed, f.owned, f.state)
	}
	if held := f.ledger.Session(f.owner.String()); held != (budget.Amounts{}) {
		t.Errorf("%v is held", held)
	}
	if err := f.Resize(ref, 1<<50); err != nil {
		t.Errorf("an object that is gone has a size: %v", err)
	}
}

func TestNothingIsLeftOfTheObjectsOfASessionThatHasEnded(t *testing.T) {
	f := newFixture(t)
	value := &closer{}
	for range 3 {
		f.add(value)
	}
	if len(f.state) != 3 || len(f.owned) != 1 {
		t.Fatalf("%d objects of %d sessions", len(f.state), len(f.owned))
	}
	f.EndSession(f.owner)
	if value.closed != 3 || len(f.owned)+len(f.state) != 0 {
		t.Errorf("closed %d times, %v and %v are left", value.closed, f.owned, f.state)
	}
}
