package property

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strconv"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/property/value"
	"github.com/vigate/vigate/internal/vim"
)

// told is what a client was told of a filter's objects, as of one version. It
// does not change once it is made.
type told struct {
	objects map[types.ManagedObjectReference]*object
	missing map[types.ManagedObjectReference]bool
	// standing is what the session was then, see session.Live.Standing: for
	// another user, or in another language, all may be different.
	standing any
}

// weight is about how many bytes it takes.
func (t *told) weight() int64 {
	n := int64(len(t.missing)) * baseObject
	for _, o := range t.objects {
		n += o.weight
	}
	return n
}

// withoutParts is the same, but that the next changes of lists are told whole.
func (t *told) withoutParts() *told {
	out := *t
	out.objects = make(map[types.ManagedObjectReference]*object, len(t.objects))
	for ref, o := range t.objects {
		out.objects[ref] = o.withoutParts()
	}
	return &out
}

// mark is what a client was told of one path, as little of it as tells whether
// it is to be told again: values are not kept.
type mark struct {
	state value.State
	sum   uint64
	parts *value.Parts // in filters with partial updates
}

// missing is the state of what the caller may not have.
const missing = value.Present + 1

func (m mark) same(o mark) bool { return m.state == o.state && m.sum == o.sum }

// object is what a client was told of an object: a mark per path of its plan.
type object struct {
	marks []mark
	// wake are the channels that tell of changes of what was read.
	wake   []<-chan struct{}
	weight int64 // about how many bytes it takes
}

// Bytes that an object, a mark and a part take, about.
const (
	baseObject = 200
	baseMark   = 24
	basePart   = 40
)

func newObject(marks []mark, wake []<-chan struct{}) *object {
	o := &object{marks: marks, wake: wake, weight: baseObject + int64(baseMark*len(marks)+16*len(wake))}
	for i := range marks {
		if p := marks[i].parts; p != nil {
			for k := range p.All {
				o.weight += basePart + int64(len(p.All[k].Name))
			}
		}
	}
	return o
}

func (o *object) withoutParts() *object {
	marks := slices.Clone(o.marks)
	for i := range marks {
		marks[i].parts = nil
	}
	return newObject(marks, o.wake)
}

// still reports whether nothing of the object has changed since it was told of.
func (o *object) still() bool {
	for _, c := range o.wake {
		select {
		case <-c:
			return false
		default:
		}
	}
	return true
}

var nothing = &told{}

// updates answers with what changed since the version from, nil for nothing,
// and makes it a version of its own. At most limit objects are told of, 0 for
// all; the rest is left for next time.
func (c *collector) updates(r *reader, from string, limit int) (*types.UpdateSet, error) {
	if err := c.lock(r.ctx, r.call); err != nil {
		return nil, err
	}
	defer c.unlock()
	// What follows may take long; nothing is waited for any more.
	defer c.api.Rest(r.call)
	c.api.Begin(r.call)
	base, err := c.parse(from)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	filters := c.filters
	c.mu.Unlock()

	u := update{reader: r, limit: limit}
	next := make([]*told, len(filters))
	for i, f := range filters {
		if next[i], err = u.filter(f, f.since(c, base)); err != nil {
			return nil, err
		}
		if next[i], err = f.hold(next[i], f.since(c, base)); err != nil {
			return nil, err
		}
	}
	// Who knows nothing gets a version in any case, if there is something to
	// have versions of.
	if len(u.sets) == 0 && (base != 0 || len(filters) == 0) {
		c.refresh(filters, next, base)
		return nil, nil
	}
	c.advance(filters, next, base)
	return &types.UpdateSet{Version: strconv.FormatUint(c.now, 10), FilterSet: u.sets, Truncated: &u.truncated}, nil
}

// parse reads a version: of those there were, the last is known and the one
// before it, for whom the last answer did not reach.
func (c *collector) parse(from string) (uint64, error) {
	if from == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(from, 10, 64)
	// The call keeps the text as long as it waits: leading zeros could be a
	// megabyte of it.
	if err != nil || n == 0 || n != c.now && n != c.before || from != strconv.FormatUint(n, 10) {
		return 0, vim.NewFault(&types.InvalidCollectorVersion{}, err)
	}
	return n, nil
}

// hold has the session hold the memory of what its client was told. If there is
// too little, the parts of lists are given up.
func (f *filter) hold(next, base *told) (*told, error) {
	own := f.weight() + base.weight()
	err := f.of.api.Resize(f.ref, own+next.weight())
	if err != nil {
		next = next.withoutParts()
		err = f.of.api.Resize(f.ref, own+next.weight())
	}
	return next, err
}

// refresh takes over next, which tells the same as the version: it knows newer
// channels of what is unchanged.
func (c *collector) refresh(filters []*filter, next []*told, version uint64) {
	for i, f := range filters {
		switch {
		case version == c.now && f.now != nil:
			f.now = next[i]
		case version == c.before && f.before != nil:
			f.before = next[i]
		}
	}
}

// since is what the client was told as of the version.
func (f *filter) since(c *collector, version uint64) *told {
	t := f.before
	switch version {
	case 0:
		t = nil
	case c.now:
		t = f.now
	}
	if t == nil {
		return nothing
	}
	return t
}

// advance makes next what the client knows. Asked once more for what was told
// last, and nothing new has come since, it stays that version: whoever asks
// twice at a time is told the same.
func (c *collector) advance(filters []*filter, next []*told, base uint64) {
	if base == c.before && base != c.now && c.now != 0 {
		same := true
		for i, f := range filters {
			same = same && f.now != nil && next[i].same(f.now)
		}
		if same {
			return
		}
	}
	for i, f := range filters {
		f.before, f.now = f.since(c, base), next[i]
	}
	c.last++
	c.before, c.now = base, c.last
}

func (t *told) same(o *told) bool {
	return maps.Equal(t.missing, o.missing) && maps.EqualFunc(t.objects, o.objects, func(a, b *object) bool {
		return a == b || slices.EqualFunc(a.marks, b.marks, mark.same)
	})
}

// update gathers an UpdateSet.
type update struct {
	*reader
	limit     int // objects to tell of; 0: all
	count     int
	truncated bool
	sets      []types.PropertyFilterUpdate
}

// full reports whether no more objects may be told of, since they are as many as
// the client wants, or the answer is long.
func (u *update) full() bool {
	if u.limit > 0 && u.count >= u.limit || u.count > 0 && u.call.Weight() > pageBytes {
		u.truncated = true
	}
	return u.truncated
}

// filter adds what changed in the filter since base, and returns what the client
// then knows of it.
func (u *update) filter(f *filter, base *told) (*told, error) {
	if u.truncated {
		return base, nil
	}
	found, err := u.selectObjects(f.spec, false)
	if err != nil {
		return nil, err
	}
	set := types.PropertyFilterUpdate{Filter: f.ref}
	standing := u.call.Session.Standing()
	next := &told{objects: make(map[types.ManagedObjectReference]*object, len(found.items)), standing: standing}
	u.missingObjects(&set, next, base, found.missing)
	there := make(map[types.ManagedObjectReference]bool, len(found.items))
	for _, it := range found.items {
		was := base.objects[it.ref]
		if was != nil && base.standing == standing && !it.plan.restless && was.still() {
			for _, c := range was.wake {
				u.wake.add(c)
			}
			there[it.ref], next.objects[it.ref] = true, was
			continue
		}
		ok, err := u.item(f, it, &set, was, next)
		if err != nil {
			return nil, err
		}
		if ok {
			there[it.ref] = true
		}
	}
	u.left(&set, next, base, there)
	if len(set.ObjectSet)+len(set.MissingSet) > 0 {
		u.sets = append(u.sets, set)
	}
	return next, nil
}

// item reads an object, and adds to the set what of it the client does not know.
// It reports false if the object is gone.
func (u *update) item(f *filter, it item, set *types.PropertyFilterUpdate, was *object, next *told) (bool, error) {
	results, ok, err := u.evaluate(it)
	if err != nil || !ok {
		return false, err
	}
	now, err := u.mark(f, results)
	if err != nil {
		return false, err
	}
	change, changed := u.object(it, was, now, results)
	switch {
	case !changed:
		next.objects[it.ref] = newObject(was.marks, now.wake)
	case u.full():
		// Not told of: what the client knows of it stays.
		if was != nil {
			next.objects[it.ref] = was
		}
	default:
		if fault := u.api.Answer(u.call, u.weigh(results)); fault != nil {
			return false, fault
		}
		u.count++
		set.ObjectSet = append(set.ObjectSet, change)
		next.objects[it.ref] = now
	}
	return true, nil
}

// missingObjects tells of the objects that the filter names and that have gone.
func (u *update) missingObjects(set *types.PropertyFilterUpdate, next, base *told, refs []types.ManagedObjectReference) {
	for _, ref := range refs {
		if next.missing == nil {
			next.missing = map[types.ManagedObjectReference]bool{}
		}
		if !base.missing[ref] && !next.missing[ref] {
			set.MissingSet = append(set.MissingSet, types.MissingObject{Obj: ref, Fault: u.localized(vim.ObjectNotFound(ref))})
		}
		next.missing[ref] = true
	}
}

// left tells of the objects that the filter has no more.
func (u *update) left(set *types.PropertyFilterUpdate, next, base *told, there map[types.ManagedObjectReference]bool) {
	var gone []types.ManagedObjectReference
	for ref := range base.objects {
		if !there[ref] {
			gone = append(gone, ref)
		}
	}
	slices.SortFunc(gone, func(a, b types.ManagedObjectReference) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Value, b.Value))
	})
	for _, ref := range gone {
		if u.full() {
			next.objects[ref] = base.objects[ref]
			continue
		}
		u.count++
		set.ObjectSet = append(set.ObjectSet, types.ObjectUpdate{Kind: types.ObjectUpdateKindLeave, Obj: ref})
	}
}

// mark is what is kept of what was read.
func (u *update) mark(f *filter, results []result) (*object, error) {
	marks := make([]mark, len(results))
	for i := range results {
		r, m := &results[i], &marks[i]
		m.state = r.state
		switch {
		case r.state == missing:
			m.sum = u.values.Sum(reflect.ValueOf(r.fault.Kind()))
		case r.state == value.Present && r.watched:
			// What is not watched does not change, but for clocks, which would
			// be news each time that they are looked at.
			if r.at.Kind() == reflect.Slice {
				if err := u.api.Work(u.ctx, u.call, r.at.Len()); err != nil {
					return nil, err
				}
			}
			m.sum = u.values.Sum(r.at)
			if f.partial {
				m.parts = u.values.Parts(r.at)
			}
		}
	}
	return newObject(marks, u.mine.all), nil
}

// object is what changed of an object; was is nil for one that is new.
func (u *update) object(it item, was, now *object, results []result) (types.ObjectUpdate, bool) {
	out := types.ObjectUpdate{Kind: types.ObjectUpdateKindModify, Obj: it.ref}
	if was == nil {
		out.Kind = types.ObjectUpdateKindEnter
	}
	for i := range results {
		p := &it.plan.paths[i]
		var old mark
		if was != nil {
			if old = was.marks[i]; old.same(now.marks[i]) {
				continue
			}
		}
		if results[i].state == missing {
			out.MissingSet = append(out.MissingSet, u.missing(p.Text, results[i].fault))
			continue
		}
		out.ChangeSet = u.change(out.ChangeSet, p, old, now.marks[i], &results[i])
	}
	return out, was == nil || len(out.ChangeSet)+len(out.MissingSet) > 0
}
