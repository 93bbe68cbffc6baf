//go:build linux

package crowd

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"

	"github.com/vigate/vigate/bench/load"
	"github.com/vigate/vigate/bench/wire"
)

// kind is a kind of call.
type kind struct {
	name string
	// do makes the call for a client. m is a machine at random, and other another client.
	do func(x *exchange, m Machine, other *Member) error
}

// exchange is a connection that is used by a client.
type exchange struct {
	*load.Conn
	*Member
	inventory *Inventory
}

var (
	// Reads are the calls of clients that own nothing at the upstream.
	Reads = []kind{
		{"read", (*exchange).read}, {"traverse", (*exchange).traverse}, {"find", (*exchange).find},
		{"Fetch", (*exchange).fetch}, {"VI JSON", (*exchange).json}, {"session", (*exchange).session},
	}
	// Pages are retrievals that take two calls.
	Pages = []kind{{"pages", (*exchange).pages}}
	// Own are the calls of clients that own a collector and a filter, see Equip.
	Own = []kind{{"updates", (*exchange).updates}, {"foreign id", (*exchange).foreign}}
)

// Each lets each client make n calls of the kinds at random.
func (c *Crowd) Each(ctx context.Context, n int, kinds ...kind) (*Tally, error) {
	t := &Tally{}
	err := c.parallel(ctx, len(c.members), func(conn *load.Conn, i int) error {
		random := rand.New(rand.NewPCG(c.Seed, uint64(i)))
		for range n {
			if err := c.call(conn, random, c.members[i], t, kinds); err != nil {
				return err
			}
		}
		return nil
	})
	return t, err
}

// Load makes calls of the kinds until ctx ends, each for a client at random.
func (c *Crowd) Load(ctx context.Context, kinds ...kind) (*Tally, error) {
	t := &Tally{}
	errs := make([]error, c.Conns)
	var all sync.WaitGroup
	for i := range errs {
		conn, err := c.dial(ctx)
		if err != nil {
			errs[i] = err
			break
		}
		all.Go(func() {
			defer conn.Close()
			random := rand.New(rand.NewPCG(c.Seed, uint64(i)))
			for errs[i] == nil && ctx.Err() == nil {
				errs[i] = c.call(conn, random, c.members[random.IntN(len(c.members))], t, kinds)
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return t, err
		}
	}
	return t, nil
}

// call makes a call and counts its outcome. It returns an error if the connection can't be used any more.
func (c *Crowd) call(conn *load.Conn, random *rand.Rand, m *Member, t *Tally, kinds []kind) error {
	k := kinds[random.IntN(len(kinds))]
	x := &exchange{conn, m, &c.Inventory}
	machines := c.Inventory.Machines
	err := k.do(x, machines[random.IntN(len(machines))], c.members[random.IntN(len(c.members))])
	t.add(k.name, err)
	if err != nil && x.broken(err) {
		return fmt.Errorf("%s: %w", k.name, err)
	}
	return nil
}

// statusError is an answer with another status than the call must have.
type statusError struct {
	status int
	body   string
}

func (e *statusError) Error() string { return fmt.Sprintf("status %d: %s", e.status, e.body) }

// ask sends a request. No answer may have an id of another session.
func (x *exchange) ask(request []byte, status int) ([]byte, error) {
	a, err := x.Do(request)
	if err != nil {
		return nil, &brokenError{err}
	}
	for rest := a.Body; ; {
		at := bytes.Index(rest, []byte("session["))
		if at < 0 {
			break
		}
		if rest = rest[at+len("session["):]; !bytes.HasPrefix(rest, []byte(x.key)) {
			return nil, wrongf("an id of another session in %.300s", a.Body)
		}
	}
	if a.Status != status {
		return nil, &statusError{a.Status, fmt.Sprintf("%.900s", a.Body)}
	}
	return a.Body, nil
}

// brokenError means that a connection can't be used any more.
type brokenError struct{ error }

func (e *brokenError) Unwrap() error { return e.error }

// holds checks that an answer has all the texts.
func holds(answer []byte, texts ...string) error {
	for _, text := range texts {
		if !bytes.Contains(answer, []byte(text)) {
			return wrongf("no %q in %.600s", text, answer)
		}
	}
	if bytes.Contains(answer, []byte("missingSet")) {
		return wrongf("something is missing in %.600s", answer)
	}
	return nil
}

const collectorID = "propertyCollector"

// retrieve is a request for the names of machines.
func retrieve(token, options, objects string) []byte {
	return wire.SOAP(token, `<RetrievePropertiesEx xmlns="urn:vim25"><_this type="PropertyCollector">`+collectorID+
		`</_this><specSet><propSet><type>VirtualMachine</type><pathSet>name</pathSet></propSet>`+objects+
		`</specSet><options>`+options+`</options></RetrievePropertiesEx>`)
}

func (m Machine) object() string {
	return `<objectSet><obj type="VirtualMachine">` + m.ID + `</obj></objectSet>`
}

// content is what an answer has of the machine.
func (m Machine) content() []string {
	return []string{`<obj type="VirtualMachine">` + m.ID + `</obj>`, `>` + m.Name + `</val>`}
}

func (x *exchange) read(m Machine, _ *Member) error {
	answer, err := x.ask(retrieve(x.token, "", m.object()), http.StatusOK)
	if err != nil {
		return err
	}
	return x.only(answer, m)
}

// only checks that an answer has the name of one machine and no other object.
func (x *exchange) only(answer []byte, m Machine) error {
	if n := bytes.Count(answer, []byte("<obj ")); n != 1 {
		return wrongf("%d objects in %.600s", n, answer)
	}
	return holds(answer, m.content()...)
}

func (x *exchange) traverse(Machine, *Member) error {
	answer, err := x.ask(retrieve(x.token, "", `<objectSet><obj type="Folder">`+x.inventory.Folder+`</obj>`+
		`<skip>true</skip>`+
		`<selectSet xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="TraversalSpec"><type>Folder</type>`+
		`<path>childEntity</path><skip>false</skip></selectSet></objectSet>`), http.StatusOK)
	if err != nil {
		return err
	}
	if n := bytes.Count(answer, []byte("<obj ")); n != len(x.inventory.Machines) {
		return wrongf("%d objects instead of %d in %.600s", n, len(x.inventory.Machines), answer)
	}
	for _, m := range x.inventory.Machines {
		if err := holds(answer, m.content()...); err != nil {
			return err
		}
	}
	return nil
}

func (x *exchange) find(m Machine, _ *Member) error {
	answer, err := x.ask(wire.SOAP(x.token, `<FindByInventoryPath xmlns="urn:vim25"><_this type="SearchIndex">`+
		`SearchIndex</_this><inventoryPath>`+x.inventory.Path+"/"+m.Name+`</inventoryPath></FindByInventoryPath>`),
		http.StatusOK)
	if err != nil {
		return err
	}
	return holds(answer, ">"+m.ID+"</returnval>")
}

func (x *exchange) fetch(m Machine, _ *Member) error {
	answer, err := x.ask(wire.SOAP(x.token, `<Fetch xmlns="urn:vim25"><_this type="VirtualMachine">`+m.ID+
		`</_this><prop>name</prop></Fetch>`), http.StatusOK)
	if err != nil {
		return err
	}
	return holds(answer, ">"+m.Name+"</returnval>")
}

func (x *exchange) json(m Machine, _ *Member) error {
	answer, err := x.ask(wire.Get(wire.Root+"VirtualMachine/"+m.ID+"/name", x.token), http.StatusOK)
	if err == nil && string(answer) != `"`+m.Name+`"` {
		err = wrongf("%.300s instead of %s", answer, m.Name)
	}
	return err
}

func (x *exchange) session(Machine, *Member) error {
	answer, err := x.ask(wire.SOAPProperty(x.token, "currentSession"), http.StatusOK)
	if err != nil {
		return err
	}
	return holds(answer, "<key>"+x.key+"</key>")
}

// pages reads two machines in two answers. The first has a token for the second.
func (x *exchange) pages(m Machine, _ *Member) error {
	second := x.inventory.Machines[0]
	if second == m {
		second = x.inventory.Machines[1]
	}
	answer, err := x.ask(retrieve(x.token, "<maxObjects>1</maxObjects>", m.object()+second.object()), http.StatusOK)
	if err != nil {
		return err
	}
	if err := x.only(answer, m); err != nil {
		return err
	}
	token, ok := between(answer, "<token>", "</token>")
	if !ok {
		return wrongf("no token in %.600s", answer)
	}
	answer, err = x.ask(wire.SOAP(x.token, `<ContinueRetrievePropertiesEx xmlns="urn:vim25">`+
		`<_this type="PropertyCollector">`+collectorID+`</_this><token>`+token+
		`</token></ContinueRetrievePropertiesEx>`), http.StatusOK)
	if err != nil {
		return err
	}
	return x.only(answer, second)
}

func between(b []byte, open, end string) (string, bool) {
	_, rest, ok := strings.Cut(string(b), open)
	text, _, closed := strings.Cut(rest, end)
	return text, ok && closed
}
