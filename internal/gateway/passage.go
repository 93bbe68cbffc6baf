package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/gateway/hop"
	"github.com/vigate/vigate/internal/gateway/message"
	"github.com/vigate/vigate/internal/gateway/method"
	"github.com/vigate/vigate/internal/gateway/owned"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/upstream"
	"github.com/vigate/vigate/internal/vim"
)

// passage is one call on its way to the upstream and back.
type passage struct {
	*Front
	call      *Call
	message   *message.Message
	method    method.Method
	admission *vim.Admission
	live      *session.Live
	pool      *upstream.Pool

	// session is the upstream session of the current attempt, and use the right to call on it; the use is
	// nil for calls that wait.
	session *upstream.Session
	use     *upstream.Use
	held    bool // the table holds the session for this call
	// reader is the id of the shared collector that is used instead of the one that the client named.
	reader string
	// on is the client's object that is called, or the collector that serves as its default collector. It may be nil.
	on *object
	// retrieval is set if vigate's own objects are among those that are read.
	retrieval *retrieval
	endWait   func()
	// doubted means that the call was made again because its session turned out to live.
	doubted bool
	// audited means that the call leaves a line in the audit log, whatever its outcome.
	audited bool
	// operation is the operationID of the call. named means that the front has chosen it, and adds it.
	operation string
	named     bool
}

// answer makes the call of a request, and returns its answer.
func (f *Front) answer(ctx context.Context, c *Call, m *message.Message) (*Answer, *vim.Fault) {
	if isSDK(c.Path) && m.AsksContent() {
		return f.content(ctx, c, m)
	}
	p := &passage{Front: f, call: c, message: m, method: method.Of(m.Method)}
	if !isSDK(c.Path) {
		p.method = method.Method{}
	}
	p.audited = !p.method.Quiet && !method.OnlyReads(m.Method)
	p.operation = hop.Printable(m.Operation)
	if p.audited && m.Unnamed {
		// The log of the upstream has the same id.
		p.operation = "vigate-" + c.VIM.Peer.Request.String()
		p.named = true
	}
	if p.operation != "" {
		c.VIM.Note("operationID", p.operation)
	}
	ad, fault := f.API.Admit(ctx, c.VIM, vim.Foreign{
		Privilege: vim.View, OwnSession: true, Waits: p.method.Waits, Audited: p.audited,
		Measured: "upstream", Operation: method.Label(m.Method),
	})
	if fault != nil {
		return nil, fault
	}
	p.admission, p.live = ad, c.VIM.Session
	a, fault := p.run(ctx)
	if fault != nil {
		p.leave()
		return nil, ad.Done(fault)
	}
	return a, nil
}

// leave gives back what the call holds.
func (p *passage) leave() {
	p.detach()
	if p.endWait != nil {
		p.endWait()
		p.endWait = nil
	}
}

// detach gives back the upstream session.
func (p *passage) detach() {
	if p.use != nil {
		p.use.Done()
		p.use = nil
	}
	if p.held {
		p.table.Release(p.live)
		p.held = false
	}
}

// attempts is how often a call is made, if each time the upstream session turns out to be gone before it
// has done anything. An upstream that ends all its sessions has ended those too that were not tried yet.
const attempts = 8

// run makes the call.
func (p *passage) run(ctx context.Context) (*Answer, *vim.Fault) {
	if fault := p.allowed(); fault != nil {
		return nil, fault
	}
	for try := 1; ; try++ {
		a, err := p.attempt(ctx)
		if err == nil {
			return a, nil
		}
		again := errors.Is(err, errLost) || errors.Is(err, errDoubt)
		if !again || try == attempts {
			return nil, p.faultOf(err)
		}
		p.leave() // a wait has a place of its own, which the next try asks for anew
		p.on, p.reader = nil, ""
	}
}

// allowed checks that the session has an account at the upstream, and that the account may be used for the
// call.
func (p *passage) allowed() *vim.Fault {
	name := p.message.Method
	if !isSDK(p.call.Path) {
		name = p.call.Path
	}
	if name == fetch {
		return p.allowedAs(name, "RetrieveProperties") // it reads a property, as a retrieval does
	}
	return p.allowedAs(name)
}

// allowedAs checks that the account may be used for an operation with one of the names.
func (p *passage) allowedAs(names ...string) *vim.Fault {
	account, err := p.Choose(p.live)
	if err != nil {
		return vim.FaultOf(err)
	}
	allowed := slices.ContainsFunc(names, account.Allows)
	if p.audited || !allowed { // what is denied leaves a line as well
		p.call.VIM.Note("account", account.Name())
	}
	if !allowed {
		cause := fmt.Errorf("the account %s may not be used for it", account.Name())
		return vim.NoPermission(p.call.VIM.Object, cause, vim.View)
	}
	p.pool = p.Upstream.Pool(account, p.live.MessageLocale())
	return nil
}

// attempt makes the call once. The error is errLost or errDoubt if the upstream refused the session, so that
// nothing was done.
func (p *passage) attempt(ctx context.Context) (*Answer, error) {
	content, err := p.Upstream.Content(ctx)
	if err != nil {
		return nil, err
	}
	// An object of another client is refused before anything is sent to the upstream.
	if err := p.known(); err != nil {
		return nil, err
	}
	byDefault := isSDK(p.call.Path) && strings.TrimSpace(p.message.This.Text) == content.PropertyCollector.Value
	if a, err := p.own(byDefault, content); a != nil || err != nil {
		return a, err
	}
	if err := p.attach(ctx, byDefault); err != nil {
		return nil, err
	}
	if err := p.target(ctx, byDefault, content); err != nil {
		return nil, err
	}
	if p.method.Waits {
		return p.wait(ctx)
	}
	return p.send(ctx)
}

// known refuses a request with an id of an object that is not the client's.
func (p *passage) known() error {
	m := p.message
	if m.Hidden {
		return vim.ObjectNotFound(p.call.VIM.Object)
	}
	if _, ok := message.Translate(m.This.Text, p.realOf); !ok {
		return vim.ObjectNotFound(p.call.VIM.Object)
	}
	if _, ok := message.Translate(p.call.Query, p.realOf); !ok {
		return vim.ObjectNotFound(p.call.VIM.Object)
	}
	if p.foreign(m) {
		return vim.ObjectNotFound(p.call.VIM.Object)
	}
	if m.Repeats(p.call.VIM.Token.Reveal()) {
		return vim.InvalidRequest("the token of the session is for the front alone")
	}
	for _, place := range m.IDs {
		strange := ""
		if _, ok := message.Translate(place.Text, func(id string) (string, bool) {
			real, ok := p.realOf(id)
			if !ok {
				strange = id
			}
			return real, ok
		}); !ok {
			return vim.ObjectNotFound(types.ManagedObjectReference{Type: "ManagedObject", Value: strange})
		}
	}
	if p.method.Resumes {
		if o := p.table.Find(p.live, m.Token.Text); o == nil || o.Type != method.Token {
			return vim.InvalidArgument("token", errors.New("no retrieval of the session has it"))
		}
	}
	return nil
}

// foreign reports whether a request names an object of another client whose id does not show that.
func (p *passage) foreign(m *message.Message) bool {
	for id := range m.Objects {
		if _, foreign := p.table.Called(p.live, id); foreign {
			return true
		}
	}
	return false
}

// realOf returns the id at the upstream of an object of the client.
func (p *passage) realOf(id string) (string, bool) {
	if o := p.table.Find(p.live, id); o != nil {
		return o.Real, true
	}
	return "", false
}

// attach finds the upstream session for the call.
func (p *passage) attach(ctx context.Context, byDefault bool) error {
	if p.method.Makes != "" || byDefault && p.method.Collector {
		s, err := p.table.Hold(ctx, p.live, func() (*upstream.Session, error) {
			use, err := p.acquire(ctx)
			if err != nil {
				return nil, err
			}
			p.use = use
			return use.Session(), nil
		})
		if err != nil {
			return p.orphaned(err)
		}
		p.session, p.held = s, true
		if p.use == nil {
			return p.acquireOn(ctx)
		}
		return nil
	}
	s, pinned := p.table.Session(p.live)
	if !pinned {
		use, err := p.acquire(ctx)
		if err != nil {
			return err
		}
		p.use, p.session = use, use.Session()
		return nil
	}
	p.session = s
	return p.acquireOn(ctx)
}

func (p *passage) acquireOn(ctx context.Context) error {
	use, err := p.pool.AcquireOn(ctx, p.session)
	if err != nil {
		return p.orphaned(err)
	}
	p.use = use
	return nil
}

// orphaned decides what the loss of the upstream session means for the client: if it owned something there,
// its session ends.
func (p *passage) orphaned(err error) error {
	if !errors.Is(err, upstream.ErrGone) && !errors.Is(err, owned.ErrGone) {
		return err
	}
	if p.table.Owns(p.live) {
		p.lost(p.live)
		return vim.NotAuthenticated(p.call.VIM.Object, vim.View)
	}
	return errLost
}

// target finds out which object at the upstream the call is for.
func (p *passage) target(ctx context.Context, byDefault bool, content *upstream.Content) error {
	p.on, _ = p.table.Called(p.live, p.message.This.Text)
	switch {
	case p.method.Resumes:
		if o := p.table.Find(p.live, p.message.Token.Text); o != nil && byDefault {
			p.reader = o.Via
		}
	case byDefault && p.method.Retrieves:
		ref, err := p.session.Reader(ctx)
		if err != nil {
			return p.orphaned(err)
		}
		p.reader = ref.Value
	case byDefault && p.method.Collector:
		o, err := p.table.Default(ctx, p.live, content.PropertyCollector.Value, func() (string, error) {
			return p.makeCollector(ctx, content.PropertyCollector)
		})
		if err != nil {
			return p.orphaned(err)
		}
		p.on = o
	}
	return nil
}

// own answers the calls that are about the client's own objects, and need none of the upstream's.
func (p *passage) own(byDefault bool, content *upstream.Content) (*Answer, error) {
	if !isSDK(p.call.Path) {
		return nil, nil
	}
	if err := p.split(content); err != nil {
		answer, ok := errors.AsType[*foreignAnswerError](err)
		if !ok {
			return nil, err
		}
		if fault := p.admission.Done(nil); fault != nil {
			return nil, fault
		}
		return answer.answer, nil
	}
	if a, err := p.fetched(content, byDefault); a != nil || err != nil {
		return a, err
	}
	name := p.message.Method
	if byDefault && (name == "CancelWaitForUpdates" || name == "DestroyPropertyCollector") &&
		p.table.HasDefault(p.live) == nil {
		return p.void()
	}
	return nil, nil
}
