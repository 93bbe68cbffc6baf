package property

import (
	"errors"
	"fmt"
	"slices"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/property/value"
	"github.com/vigate/vigate/internal/vim"
)

// Limits of one request and of one filter. Clients send a few of each.
const (
	maxSpecs      = 64   // filter specs of a request
	maxTypes      = 256  // property specs of a filter spec
	maxPaths      = 1000 // paths of a filter spec
	maxObjects    = 1000 // object specs of a filter spec
	maxSelections = 1000 // traversals of an object spec
	maxNesting    = 32   // depth of nested traversals
)

// filterSpec is a checked and compiled PropertyFilterSpec. One goroutine at a time may use it.
type filterSpec struct {
	*service
	types   []typeSpec
	objects []objectSpec
	// reportMissing means that missing objects are reported in the result instead of by a fault.
	reportMissing bool
	// weight is the approximate size of the filter in bytes.
	weight     int
	traversals int // number of traversals of all objects
	plans      []*plan

	// one is the memory of a filter with one path of one object, which is the usual case. It saves
	// separate allocations.
	one struct {
		types   [1]typeSpec
		objects [1]objectSpec
		plans   [1]*plan
		plan    plan
		items   [1]item
		// paths belong to the type, planned to the plan.
		paths, planned [1]value.Path
	}
}

// sliceOf returns a slice of length n. It uses buf if that is large enough. The result is never
// nil.
func sliceOf[T any](buf []T, n int) []T {
	if buf != nil && n <= len(buf) {
		return buf[:n:n]
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
	number  int // index among the traversals of the filter spec
}

// plan lists the paths that are read from objects of one type.
type plan struct {
	typ   string
	paths []value.Path
	names map[string]bool // set of the paths' texts; used only if there are many
	// alwaysRead means that a path leads to a member that changes without a notification. Each call
	// then reads the object again.
	alwaysRead bool
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
	f.types, f.plans = sliceOf(f.one.types[:], len(in.PropSet)), f.one.plans[:0]
	buf, n := f.one.paths[:], 0
	for i := range in.PropSet {
		if !s.isKnown(in.PropSet[i].Type) {
			return nil, vim.TypeNotFound(in.PropSet[i].Type)
		}
		if err := f.types[i].compile(&in.PropSet[i], maxPaths-n, buf); err != nil {
			return nil, err
		}
		buf = nil
		n += len(f.types[i].paths)
		for _, p := range f.types[i].paths {
			f.weight += 100 + 3*len(p.Text)
		}
	}
	f.objects = sliceOf(f.one.objects[:], len(in.ObjectSet))
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

func (t *typeSpec) compile(in *types.PropertySpec, limit int, buf []value.Path) error {
	*t = typeSpec{typ: in.Type, all: isTrue(in.All)}
	if t.all {
		return nil
	}
	if len(in.PathSet) > limit {
		return tooMany("pathSet", maxPaths)
	}
	t.paths = sliceOf(buf, len(in.PathSet))
	for i, text := range in.PathSet {
		p, err := value.Parse(text)
		if err != nil {
			return vim.PropertyNotFound(clip(text))
		}
		t.paths[i] = p
	}
	return nil
}

// clip shortens a text of the client that a fault repeats.
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

// selections compiles the traversals of one object spec. A selection may use the name of a
// traversal that is defined later.
type selections struct {
	*service
	spec         *filterSpec
	named        map[string]*traversal
	count, bytes int
}

func (b *selections) all(set []types.BaseSelectionSpec, depth int) ([]*traversal, error) {
	if depth == maxNesting {
		return nil, vim.InvalidArgument("selectSet", errors.New("nested too deeply"))
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
			err = vim.InvalidArgument("selectSet", errors.New("unknown kind of selection"))
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
	if t == nil || t.defined { // if a name is defined twice, it refers to the first definition
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

// plan returns the plan for objects of a served type, or nil if the filter does not report them. It
// combines the property specs for the type and for all types that it derives from.
func (f *filterSpec) plan(typ string) (*plan, error) {
	for _, p := range f.plans {
		if p.typ == typ {
			if p.paths == nil {
				return nil, nil
			}
			return p, nil
		}
	}
	p, buf := &plan{}, []value.Path(nil)
	if len(f.plans) == 0 {
		p, buf = &f.one.plan, f.one.planned[:]
	}
	p.typ = typ
	for i := range f.types {
		t := &f.types[i]
		if !isA(typ, t.typ) {
			continue
		}
		if p.paths == nil {
			p.paths = sliceOf(buf, len(t.paths))[:0]
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
			p.alwaysRead = p.alwaysRead || f.values.Ignored(row.Type, at.Steps)
		}
	}
	f.plans = append(f.plans, p)
	if p.paths == nil {
		return nil, nil
	}
	return p, nil
}

// add adds a path unless the plan has it already. Some clients name a path twice and fail if the
// response contains it twice.
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

// pathFault returns the fault for a path that does not exist.
func pathFault(p value.Path) error { return vim.PropertyNotFound(p.Text) }
