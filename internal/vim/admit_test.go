package vim_test

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/budget"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

var elsewhere = types.ManagedObjectReference{Type: "VirtualMachine", Value: "vm-1"}

// pairs makes the same call to a row, and as a call that another server carries out.
type pairs struct {
	*fixture
	on       types.ManagedObjectReference
	observed []string
}

func newPairs(t *testing.T) *pairs {
	t.Helper()
	p := &pairs{}
	p.fixture = newFixture(t, func(d *vimtest.Parts) {
		d.Observe = func(object, name, fault string, _ time.Duration) {
			p.observed = append(p.observed, object+"."+name+" "+fault)
		}
	})
	o := &vim.Object{Type: "Near", ID: "near", Methods: []vim.Method{
		vim.NewVoid("Work", access.ValidateSession, func(context.Context, *vim.Call, *request) error { return nil },
			vim.Audited),
	}}
	p.Must(p.Add(o))
	p.on = o.Ref()
	return p
}

func (p *pairs) call(token string, on types.ManagedObjectReference) *vim.Call {
	return &vim.Call{
		Object: on, Name: "Work", Args: new(request), Token: secret.New(token), Peer: &p.Peer,
		Release: vim.FirstRelease, Binding: "test",
	}
}

func (p *pairs) near(token string) *vim.Fault {
	_, fault := p.Do(context.Background(), p.call(token, p.on))
	return fault
}

var far = vim.Foreign{Privilege: access.ValidateSession, Audited: true, Measured: "upstream"}

func (p *pairs) far(token string) *vim.Fault {
	ad, fault := p.Admit(context.Background(), p.call(token, elsewhere), far)
	if fault != nil {
		return fault
	}
	return ad.Done(nil)
}

func TestAForeignCallIsRefusedCountedMeasuredAndAuditedAsARowIs(t *testing.T) {
	p := newPairs(t)
	own := regexp.MustCompile(`time=\S+|Near|VirtualMachine|near|vm-1`)
	for who, token := range map[string]string{
		"nobody": "", "ended": strings.Repeat("0", 40), "ann": p.Ann, "administrator": p.Admin,
	} {
		calls := func() int32 {
			for l := range p.Sessions.All() {
				if strings.EqualFold(l.Session().Identity.Name.User, who) {
					return int32(l.Summary().CallCount)
				}
			}
			return 0
		}
		var kinds, lines [2]string
		var counted [2]int32
		for i, do := range []func(string) *vim.Fault{p.near, p.far} {
			before, logged := calls(), len(p.Logged())
			if fault := do(token); fault != nil {
				kinds[i] = fault.Kind()
			}
			counted[i] = calls() - before
			lines[i] = own.ReplaceAllString(p.Logged()[logged:], "")
		}
		if kinds[0] != kinds[1] || counted[0] != counted[1] || lines[0] != lines[1] {
			t.Errorf("%s: faults %q, calls %d, lines:\n%s%s", who, kinds, counted, lines[0], lines[1])
		}
		if live := who == "ann" || who == "administrator"; live != (counted[1] == 1) {
			t.Errorf("%s: %d calls are counted", who, counted[1])
		}
		if !strings.Contains(lines[1], "msg=audit") {
			t.Errorf("%s: no audit line", who)
		}
		near, far := p.observed[len(p.observed)-2], p.observed[len(p.observed)-1]
		if strings.TrimPrefix(near, "Near") != strings.TrimPrefix(far, "upstream") {
			t.Errorf("%s: measured as %q and %q", who, near, far)
		}
	}
}

func TestAForeignCallWhoseSessionEndsMeanwhileGetsNoAnswer(t *testing.T) {
	p := newPairs(t)
	c := p.call(p.Admin, elsewhere)
	ad, fault := p.Admit(context.Background(), c, far)
	if fault != nil {
		t.Fatal(fault)
	}
	p.Must(p.Sessions.End(context.Background(), c.Session, session.Logout(c.Session.Session())))
	if fault := ad.Done(nil); fault == nil || fault.Kind() != "NotAuthenticated" {
		t.Errorf("the fault is %v", fault)
	}
	lines := strings.Count(p.Logged(), "operation=VirtualMachine.Work")
	if ad.Done(nil); strings.Count(p.Logged(), "operation=VirtualMachine.Work") != lines || lines != 1 {
		t.Error("the call is audited more than once")
	}
}

func TestACommitOfAForeignCallNeedsItsSession(t *testing.T) {
	p := newPairs(t)
	commit := func(ad *vim.Admission) error {
		_, err := p.Mirror.Commit(ad.Context, p.Events.Change(event.Event{Type: "EventEx", ID: "test", User: "a"}))
		return err
	}
	c := p.call(p.Admin, elsewhere)
	ad, fault := p.Admit(context.Background(), c, far)
	if fault != nil {
		t.Fatal(fault)
	}
	if err := commit(ad); err != nil {
		t.Errorf("while the session lives: %v", err)
	}
	p.Must(p.Sessions.End(context.Background(), c.Session, session.Logout(c.Session.Session())))
	if err := commit(ad); err == nil {
		t.Error("an ended session commits")
	}
	if _, err := p.Mirror.Commit(ad.Context, store.Put(store.Account, "x", []byte("{}"), time.Time{})); err == nil {
		t.Error("a foreign call changes authority")
	}
	ad.Done(nil)
}

func TestForeignCallsThatWaitAreCountedUntilTheyAreDone(t *testing.T) {
	p := newPairs(t)
	waits := vim.Foreign{Privilege: vim.View, Waits: true, Measured: "upstream"}
	var all []*vim.Admission
	limit := budget.Default()[budget.Waits].Session
	for range limit {
		ad, fault := p.Admit(context.Background(), p.call(p.Ann, elsewhere), waits)
		if fault != nil {
			t.Fatal(fault)
		}
		all = append(all, ad)
	}
	if _, fault := p.Admit(context.Background(), p.call(p.Ann, elsewhere), waits); fault == nil ||
		fault.Kind() != "LimitExceeded" {
		t.Errorf("one more than %d waits: %v", limit, fault)
	}
	for _, ad := range all {
		ad.Done(nil)
	}
	if held, sessions := p.Ledger(); held != (budget.Amounts{}) || sessions != 0 {
		t.Errorf("%v is held by %d sessions", held, sessions)
	}
}

func TestAForeignCallWaitsForNobodyWithoutASession(t *testing.T) {
	p := newPairs(t)
	waits := vim.Foreign{Privilege: vim.Anonymous, Waits: true, Measured: "upstream"}
	for who, token := range map[string]string{"nobody": "", "ended": strings.Repeat("0", 40)} {
		if ad, fault := p.Admit(t.Context(), p.call(token, elsewhere), waits); ad != nil ||
			!vim.IsFault[*types.NotAuthenticated](fault) {
			t.Errorf("%s: %v", who, fault)
		}
	}
	ad, fault := p.Admit(t.Context(), p.call(p.Ann, elsewhere), waits)
	if fault != nil || ad.Done(nil) != nil {
		t.Errorf("with a session: %v", fault)
	}
}

func TestACommitOfAForeignCallNeedsItsPrivilege(t *testing.T) {
	p := newPairs(t)
	bob := p.User("bob", access.ValidateSession)
	post := p.Events.Change(event.Event{Type: "EventEx", ID: "test", User: "a"})
	ad, fault := p.Admit(t.Context(), p.call(bob, elsewhere), far)
	if fault != nil {
		t.Fatal(fault)
	}
	if _, err := p.Mirror.Commit(ad.Context, post); err != nil {
		t.Errorf("a commit of a call that is allowed: %v", err)
	}
	vimtest.OK(p.Grant(p.Admin, types.Permission{Principal: "bob", RoleId: -2, Propagate: true}))
	if _, err := p.Mirror.Commit(ad.Context, post); err == nil {
		t.Error("a call whose caller has lost the privilege has committed")
	}
	ad.Done(nil)
}
