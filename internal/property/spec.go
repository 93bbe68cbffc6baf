package property

import (
	"errors"
	"fmt"
	"slices"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/property/value"
	"github.com/vigate/vigate/internal/vim"
)

// Limits of one request, and of one filter. Clients send a few of each.
const (
	maxSpecs      = 64   // filter specs of a request
	maxTypes      = 256  // property specs of a filter spec
	maxPaths      = 1000 // paths of a filter spec
	maxObjects    = 1000 // object specs of a filter spec
	maxSelections = 1000 // traversals of an object spec
	maxNesting    = 32   // of traversals in one another
)

// filterSpec is a PropertyFilterSpec, checked and ready for use by one
// goroutine at a time.
type filterSpec struct {
	*service
	types   []typeSpec
	objects []objectSpec
	// reportMissing: objects that are not there are told of, and no fault.
	reportMissing bool
	// weight is about how many bytes of memory the filter needs.
	weight     int
	traversals int // of all objects together
	plans      []*plan

	// What a filter of one path of one object needs of the above, and of what is
	// made of it, at once: nearly all are such.
	one struct {
		types   [1]typeSpec
		objects [1]objectSpec
		plans   [1]*plan
		plan    plan
		items   [1]item
		// paths of the type and of the plan
		paths, planned [1]value.Path
	}
}

// room is for n, in few if that is enough. It is never nil.
func room[T any](few []T, n int) []T {
	if few != nil && n <= len(few) {
		return few[:n:n]
	}
	return make([]T, n)
}

type typeSpec struct {
	typ   string
	all   bool
	paths []value.Path
}

type objectSpec struct {
	ref   types.ManagedObjectReference
	skip  bool
	steps []*traversal
}

// traversal leads from an object to others.
type traversal struct {
	typ     string
	path    value.Path
	skip    bool
	next    []*traversal
	defined bool
	number  int // of those of the filter spec
}

// plan is what is read of the objects of a type.
type plan struct {
	typ   string
	paths []value.Path
	names map[string]bool // of paths, if they are many
	// restless: a path leads to what changes without being told of.
	restless bool
}

func isTrue(b *bool) bool { return b != nil && *b }

func tooMany(what string, limit int) error {
	return vim.InvalidArgument(what, fmt.Errorf("more than %d", limit))
}

func (s *service) compile(in *types.PropertyFilterSpec) (*filterSpec, error) {
	f := &filterSpec{service: s, reportMissing: isTrue(in.ReportMissingObjectsInResults)}
	switch {
	case len(in.PropSet) > maxTypes:
		return nil, tooMany("propSet", maxTypes)
	case len(in.ObjectSet) > maxObjects:
		return nil, tooMany("objectSet", maxObjects)
	}
	f.types, f.plans = room(f.one.types[:], len(in.PropSet)), f.one.plans[:0]
	few, n := f.one.paths[:], 0
	for i := range in.PropSet {
		if !s.isKnown(in.PropSet[i].Type) {
			return nil, vim.TypeNotFound(in.PropSet[i].Type)
		}
		if err := f.types[i].compile(&in.PropSet[i], maxPaths-n, few); err != nil {
			return nil, err
		}
		few = nil
		n += len(f.types[i].paths)
		for _, p := range f.types[i].paths {
			f.weight += 100 + 3*len(p.Text)
		}
	}
	f.objects = room(f.one.objects[:], len(in.ObjectSet))
	for i := range in.ObjectSet {
		if err := f.compileObject(&f.objects[i], &in.ObjectSet[i]); err != nil {
			return nil, err
		}
	}
	f.weight += 100 * len(in.ObjectSet)
	for i := range f.types {
		if s.api.Object(f.types[i].typ) != nil {
			if _, err := f.plan(f.types[i].typ); err != nil {
				return nil, err
			}
		}
	}
	return f, nil
}

func (t *typeSpec) compile(in *types.PropertySpec, limit int, few []value.Path) error {
	*t = typeSpec{typ: in.Type, all: isTrue(in.All)}
	if t.all {
		return nil
	}
	if len(in.PathSet) > limit {
		return tooMany("pathSet", maxPaths)
	}
	t.paths = room(few, len(in.PathSet))
	for i, text := range in.PathSet {
		p, err := value.Parse(text)
		if err != nil {
			return vim.PropertyNotFound(clip(text))
		}
		t.paths[i] = p
	}
	return nil
}

// clip shortens what a fault repeats to the client.
func clip(text string) string { return text[:min(len(text), value.MaxPath)] }

func (f *filterSpec) compileObject(o *objectSpec, in *types.ObjectSpec) error {
	*o = objectSpec{ref: in.Obj, skip: isTrue(in.Skip)}
	f.weight += len(in.Obj.Type) + 2*len(in.Obj.Value)
	if len(in.SelectSet) == 0 {
		return nil
	}
	b := selections{service: f.service, spec: f, named: map[string]*traversal{}}
	var err error
	if o.steps, err = b.all(in.SelectSet, 0); err != nil {
		return err
	}
	f.weight += 200*b.count + b.bytes
	for name, t := range b.named {
		if !t.defined {
			return vim.InvalidArgument("selectSet.name", fmt.Errorf("no traversal is named %q", clip(name)))
		}
	}
	return nil
}

// selections compiles the traversals of one object spec. A name may be used
// before the traversal that it is of.
type selections struct {
	*service
	spec         *filterSpec
	named        map[string]*traversal
	count, bytes int
}

func (b *selections) all(set []types.BaseSelectionSpec, depth int) ([]*traversal, error) {
	if depth == maxNesting {
		return nil, vim.InvalidArgument("selectSet", errors.New("nested too deep"))
	}
	all := make([]*traversal, 0, len(set))
	for _, s := range set {
		if b.count++; b.count > maxSelections {
			return nil, tooMany("selectSet", maxSelections)
		}
		var t *traversal
		var err error
		switch s := s.(type) {
		case *types.TraversalSpec:
			t, err = b.define(s, depth)
		case *types.SelectionSpec:
			t = b.byName(s.Name)
		default:
			err = vim.InvalidArgument("selectSet", errors.New("not a kind of selection that there is"))
		}
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

func (b *selections) byName(name string) *traversal {
	t := b.named[name]
	if t == nil {
		t = b.make()
		b.named[name] = t
	}
	return t
}

func (b *selections) make() *traversal {
	b.spec.traversals++
	return &traversal{number: b.spec.traversals - 1}
}

func (b *selections) define(s *types.TraversalSpec, depth int) (*traversal, error) {
	var t *traversal
	if s.Name != "" {
		t = b.byName(s.Name)
	}
	if t == nil || t.defined { // the first of a name has it
		t = b.make()
	}
	b.bytes += len(s.Name) + len(s.Type) + len(s.Path)
	if !b.isKnown(s.Type) {
		return nil, vim.TypeNotFound(s.Type)
	}
	p, err := value.Parse(s.Path)
	if err != nil {
		return nil, vim.PropertyNotFound(clip(s.Path))
	}
	t.typ, t.path, t.skip, t.defined = s.Type, p, isTrue(s.Skip), true
	t.next, err = b.all(s.SelectSet, depth+1)
	return t, err
}

// plan is what the filter reads of objects of a type that is served, nil where
// it does not report them. The specs for a type and for those that it derives
// from add up.
func (f *filterSpec) plan(typ string) (*plan, error) {
	for _, p := range f.plans {
		if p.typ == typ {
			if p.paths == nil {
				return nil, nil
			}
			return p, nil
		}
	}
	p, few := &plan{}, []value.Path(nil)
	if len(f.plans) == 0 {
		p, few = &f.one.plan, f.one.planned[:]
	}
	p.typ = typ
	for i := range f.types {
		t := &f.types[i]
		if !isA(typ, t.typ) {
			continue
		}
		if p.paths == nil {
			p.paths = room(few, len(t.paths))[:0]
		}
		if t.all {
			for _, row := range f.api.Object(typ).Properties {
				p.add(value.Path{Text: row.Name, Property: row.Name})
			}
		}
		for _, at := range t.paths {
			row, fault := f.api.Property(types.ManagedObjectReference{Type: typ}, at.Property)
			if fault != nil || !f.values.Leads(row.Type, at.Steps) {
				return nil, pathFault(at)
			}
			p.add(at)
			p.restless = p.restless || f.values.Idle(row.Type, at.Steps)
		}
	}
	f.plans = append(f.plans, p)
	if p.paths == nil {
		return nil, nil
	}
	return p, nil
}

// add adds a path once: some clients name one twice and fail when they are told
// it twice.
func (p *plan) add(at value.Path) {
	if len(p.paths) < 16 {
		if slices.ContainsFunc(p.paths, func(o value.Path) bool { return o.Text == at.Text }) {
			return
		}
	} else {
		if p.names == nil {
			p.names = make(map[string]bool, 2*len(p.paths))
			for _, o := range p.paths {
				p.names[o.Text] = true
			}
		}
		if p.names[at.Text] {
			return
		}
		p.names[at.Text] = true
	}
	p.paths = append(p.paths, at)
}

// pathFault: there is no such path.
func pathFault(p value.Path) error { return vim.PropertyNotFound(p.Text) }
