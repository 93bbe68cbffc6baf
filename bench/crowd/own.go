//go:build linux

package crowd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/vigate/vigate/bench/load"
	"github.com/vigate/vigate/bench/wire"
)

// Equip lets each client make a property collector, and a filter on it for a machine.
func (c *Crowd) Equip(ctx context.Context) error {
	err := c.parallel(ctx, len(c.members), func(conn *load.Conn, i int) error {
		return (&exchange{conn, c.members[i], &c.Inventory}).equip()
	})
	if err != nil {
		return fmt.Errorf("make collectors and filters: %w", err)
	}
	return nil
}

func (x *exchange) equip() (err error) {
	x.collector, err = x.make("PropertyCollector", `<CreatePropertyCollector xmlns="urn:vim25">`+
		`<_this type="PropertyCollector">`+collectorID+`</_this></CreatePropertyCollector>`)
	if err != nil {
		return err
	}
	x.filter, err = x.make("PropertyFilter", `<CreateFilter xmlns="urn:vim25"><_this type="PropertyCollector">`+
		x.collector+`</_this><spec><propSet><type>VirtualMachine</type><pathSet>name</pathSet></propSet>`+
		x.machine.object()+`</spec><partialUpdates>false</partialUpdates></CreateFilter>`)
	return err
}

// make makes a call that returns an object of the client's own.
func (x *exchange) make(typ, body string) (string, error) {
	answer, err := x.ask(wire.SOAP(x.token, body), http.StatusOK)
	if err != nil {
		return "", err
	}
	_, rest, _ := bytes.Cut(answer, []byte(`type="`+typ+`"`))
	id, ok := between(rest, ">", "<")
	if !ok || !strings.HasPrefix(id, "session["+x.key+"]") {
		return "", wrongf("no %s of its own in %.300s", typ, answer)
	}
	return id, nil
}

// wait is a call that returns all that the filters of a collector have.
func (x *exchange) wait(collector string) []byte {
	return wire.SOAP(x.token, `<WaitForUpdatesEx xmlns="urn:vim25"><_this type="PropertyCollector">`+collector+
		`</_this><version></version><options><maxWaitSeconds>0</maxWaitSeconds></options></WaitForUpdatesEx>`)
}

// updates reads what the client's own filter has.
func (x *exchange) updates(Machine, *Member) error {
	answer, err := x.ask(x.wait(x.collector), http.StatusOK)
	if err != nil {
		return err
	}
	if n := bytes.Count(answer, []byte("<filterSet>")); n != 1 {
		return wrongf("%d filters in %.600s", n, answer)
	}
	return holds(answer, append(x.machine.content(), ">"+x.filter+"</filter>")...)
}

// foreign tries to wait on the collector of another client. To the client, there is none.
func (x *exchange) foreign(_ Machine, other *Member) error {
	if other == x.Member {
		return x.updates(x.machine, other)
	}
	a, err := x.Do(x.wait(other.collector))
	switch {
	case err != nil:
		return &brokenError{err}
	case a.Status == http.StatusOK:
		return wrongf("a collector of another: %.300s", a.Body)
	case a.Status != http.StatusInternalServerError || !bytes.Contains(a.Body, []byte("ManagedObjectNotFound")):
		return &statusError{a.Status, fmt.Sprintf("%.300s", a.Body)}
	}
	return nil
}

// broken reports whether the connection can't be used any more.
func (x *exchange) broken(err error) bool {
	var b *brokenError
	return errors.As(err, &b)
}
