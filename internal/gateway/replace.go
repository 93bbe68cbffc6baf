package gateway

import (
	"strings"
	"sync/atomic"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/gateway/message"
	"github.com/vigate/vigate/internal/gateway/method"
	"github.com/vigate/vigate/internal/upstream"
)

// patterns keeps the table of all keys and cookies of the upstream's sessions, as long as they are the same.
type patterns struct{ last atomic.Pointer[patternSet] }

// patternSet is the table of some secrets, and their texts in the order of the table.
type patternSet struct {
	from  *upstream.Secrets
	table *message.Table
	texts []string
}

// reach is how much around a key is looked at, in bytes: the tag before an id, and the id itself.
const reach = 256

// of returns the table for the secrets.
func (p *patterns) of(from *upstream.Secrets) *patternSet {
	if last := p.last.Load(); last != nil && last.from == from {
		return last
	}
	set := &patternSet{from: from}
	known := map[string]bool{}
	for _, s := range from.All() {
		if text := s.Reveal(); text != "" && !known[text] {
			known[text] = true
			set.texts = append(set.texts, text)
		}
	}
	set.table = message.NewTable(set.texts, reach)
	p.last.Store(set)
	return set
}

// replacer decides what a client sees instead of the keys of upstream sessions.
type replacer struct {
	p   *passage
	set *patternSet
}

// Replace implements message.Replacer. The key in the id of an object is replaced together with the id.
func (r *replacer) Replace(out []byte, text int, rest []byte) ([]byte, int) {
	key := r.set.texts[text]
	for _, form := range []struct{ open, close string }{{"session[", "]"}, {"session%5B", "%5D"}} {
		if !endsFold(out, form.open) || len(rest) < len(form.close) ||
			!strings.EqualFold(string(rest[:len(form.close)]), form.close) {
			continue
		}
		end := len(form.close) + message.Word(rest[len(form.close):])
		real := "session[" + key + "]" + string(rest[len(form.close):end])
		before := out[:len(out)-len(form.open)]
		id, ok := r.p.virtualOf(real, before)
		if !ok {
			break
		}
		if form.close != "]" {
			id = message.Escape(id)
		}
		return append(before, id...), end
	}
	if key == r.p.session.Key().Reveal() {
		return append(out, r.p.live.Key().String()...), 0
	}
	return append(out, message.Masked(key)...), 0
}

func endsFold(out []byte, end string) bool {
	return len(out) >= len(end) && strings.EqualFold(string(out[len(out)-len(end):]), end)
}

// virtualOf returns the id by which the client knows an object of an upstream session. before is the text
// before the id.
func (p *passage) virtualOf(real string, before []byte) (string, bool) {
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
