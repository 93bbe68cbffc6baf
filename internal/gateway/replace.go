package gateway

import (
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/gateway/answer"
	"github.com/vigate/vigate/internal/gateway/message"
	"github.com/vigate/vigate/internal/gateway/method"
)

// set returns what finds the keys of all sessions at the upstream, as they are now.
func (p *passage) set() *answer.Set { return p.keys.Of(p.Upstream.Secrets()) }

// Keys implements answer.Client.
func (p *passage) Keys() (own, upstream string) {
	return p.live.Key().String(), p.session.Key().Reveal()
}

// Object implements answer.Client.
func (p *passage) Object(real string, before []byte) (string, bool) {
	if o := p.table.FindReal(p.live, real); o != nil {
		return o.ID, true
	}
	if real == p.reader || p.session.Owns(types.ManagedObjectReference{Type: "PropertyCollector", Value: real}) {
		return p.defaultCollector(), true
	}
	return p.adopt(real, before)
}

// defaultCollector returns the id of the collector that all clients know.
func (p *passage) defaultCollector() string {
	content, err := p.Upstream.Content(p.admission.Context)
	if err != nil {
		return "propertyCollector"
	}
	return content.PropertyCollector.Value
}

// adopt registers an object of a session that an answer brings although no object was expected. An answer to a
// read brings only objects that others own.
func (p *passage) adopt(real string, before []byte) (string, bool) {
	typ := message.TypeBefore(before)
	if p.method.Quiet || method.OnlyReads(p.message.Method) || method.Ends[typ] == "" ||
		!strings.Contains(real, p.session.Key().Reveal()) {
		return "", false
	}
	o, err := p.table.Adopt(p.live, p.session, object{Type: typ, Real: real})
	if err != nil {
		p.cleaner.destroy(p.session, &object{Type: typ, Real: real})
		return "", false
	}
	return o.ID, true
}
