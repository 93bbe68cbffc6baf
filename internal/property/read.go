package property

import (
	"context"
	"reflect"
	"slices"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/budget"
	"github.com/vigate/vigate/internal/property/value"
	"github.com/vigate/vigate/internal/vim"
)

// reader reads properties of objects on behalf of one call.
type reader struct {
	*service
	ctx     context.Context
	call    *vim.Call
	reading vim.Reading
	// keep caches what was read. It is not nil if several filter specs of the call may read the
	// same property.
	keep map[propertyKey]readResult
	// watch means that the reader collects the channels that report changes of what it reads. It
	// gets the channel before it reads the value, so that no change is missed.
	watch bool
	wake  channels // for everything that was read
	mine  channels // for the last object

	visits  int      // see maxVisits
	objects int      // number of objects read
	weight  int64    // size of the plans if the rest is stored as a page
	results []result // of the last object
	buf     [1]result
}

func (s *service) newReader(ctx context.Context, c *vim.Call) *reader {
	r := &reader{service: s, ctx: ctx, call: c}
	r.reading.Begin(s.api, c)
	r.results = r.buf[:0]
	return r
}

// watcher returns a reader for the updates of filters. It collects the channels that report
// changes.
func (s *service) watcher(ctx context.Context, c *vim.Call) *reader {
	r := s.newReader(ctx, c)
	r.watch = true
	return r
}

// channels is a list of channels without duplicates.
type channels struct {
	all   []<-chan struct{}
	known map[<-chan struct{}]struct{} // set of the channels; used only if there are many
}

// fewChannels is the number of channels up to which a search in the list is as fast as a map.
const fewChannels = 16

func (c *channels) add(one <-chan struct{}) {
	switch {
	case len(c.all) < fewChannels:
		if slices.Contains(c.all, one) {
			return
		}
	default:
		if c.known == nil {
			c.known = map[<-chan struct{}]struct{}{}
			for _, o := range c.all {
				c.known[o] = struct{}{}
			}
		}
		if _, ok := c.known[one]; ok {
			return
		}
		c.known[one] = struct{}{}
	}
	c.all = append(c.all, one)
}

type propertyKey struct {
	ref  types.ManagedObjectReference
	name string
}

type readResult struct {
	value   any // nil if unset
	fault   *vim.Fault
	watched bool
}

// result is the value or fault at one path.
type result struct {
	state value.State
	at    reflect.Value
	fault *vim.Fault
	// watched means that a channel reports changes of the property.
	watched bool
}

// item is an object that a filter reports, and the plan for reading it.
type item struct {
	ref  types.ManagedObjectReference
	plan *plan
}

func (r *reader) read(ref types.ManagedObjectReference, name string) (readResult, error) {
	if g, ok := r.keep[propertyKey{ref, name}]; ok {
		return g, nil
	}
	var g readResult
	if r.watch {
		g.watched = r.wakeOn(r.reading.Changed(ref, name))
		if row, fault := r.api.Property(ref, name); fault == nil && row.Privilege != vim.Anonymous {
			r.wakeOn(r.api.AuthorityChanged())
		}
	}
	g.value, g.fault = r.reading.Read(r.ctx, ref, name)
	if v := reflect.ValueOf(g.value); v.IsValid() && v.Kind() == reflect.Slice {
		if err := r.api.Work(r.ctx, r.call, v.Len()); err != nil {
			return readResult{}, err
		}
		if r.keep != nil {
			// The whole value stays in memory, even if the response contains only a part of it.
			if fault := r.api.Answer(r.call, budget.WeightOf(v)); fault != nil {
				return readResult{}, fault
			}
		}
	}
	if r.keep != nil {
		r.keep[propertyKey{ref, name}] = g
	}
	return g, nil
}

// wakeOn adds a channel to the channels that wake the waiting call. It reports whether c is not
// nil.
func (r *reader) wakeOn(c <-chan struct{}) bool {
	if c != nil {
		r.wake.add(c)
		r.mine.add(c)
	}
	return c != nil
}

// evaluate reads the paths of the item's plan. It reports false if the object no longer exists. The
// results are valid until the next call.
func (r *reader) evaluate(it item) ([]result, bool, error) {
	r.results = slices.Grow(r.results[:0], len(it.plan.paths))
	r.objects++
	r.mine = channels{}
	all := r.results[:len(it.plan.paths)]
	if err := r.api.Work(r.ctx, r.call, 1+len(all)); err != nil {
		return nil, false, err
	}
	had := make([]readProperty, 0, 8)
	for i := range it.plan.paths {
		p := &it.plan.paths[i]
		at := slices.IndexFunc(had, func(n readProperty) bool { return n.name == p.Property })
		if at < 0 {
			g, err := r.read(it.ref, p.Property)
			if err != nil {
				return nil, false, err
			}
			at = len(had)
			had = append(had, readProperty{name: p.Property, readResult: g})
		}
		g := &had[at].readResult
		switch {
		case g.fault == nil:
			all[i] = r.part(&had[at], p.Steps)
		case vim.IsFault[*types.ManagedObjectNotFound](g.fault):
			return nil, false, nil
		case g.fault.Detail == nil || r.ctx.Err() != nil:
			// The fault is not about this property: the whole call can't be served now.
			return nil, false, g.fault
		default:
			all[i] = result{state: missing, fault: g.fault, watched: g.watched}
		}
	}
	return all, true, nil
}

// readProperty is the result of reading a property, and an index of its value.
type readProperty struct {
	name string
	readResult
	index value.Index
}

func (r *reader) part(n *readProperty, steps []value.Step) result {
	out := result{watched: n.watched}
	switch {
	case n.value != nil:
		out.at, out.state = r.values.Walk(reflect.ValueOf(n.value), steps, &n.index)
	case len(steps) > 0:
		out.state = value.Gone
	}
	return out
}

const (
	// fewResults is the number of results of a call whose exact size is not computed unless they
	// are lists. Most calls have no more results.
	fewResults = 16
	// Approximate sizes in a response in bytes, without the values.
	objectWeight  = 128
	resultWeight  = 64
	missingWeight = 512
)

// weigh returns the approximate size of one object's results in the response, in bytes. With unset,
// results without a value count too.
func (r *reader) weigh(results []result, unset bool) int64 {
	n := int64(objectWeight)
	many := r.objects > fewResults || len(results) > fewResults
	for i := range results {
		switch at := results[i].at; results[i].state {
		case missing:
			n += missingWeight
		case value.Present:
			n += resultWeight
			if many || at.Kind() == reflect.Slice {
				n += budget.WeightOf(at)
			}
		default:
			if unset {
				n += resultWeight
			}
		}
	}
	return n
}
