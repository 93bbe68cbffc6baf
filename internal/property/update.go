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

// snapshot records what a client knows about a filter's objects at one version. It is immutable.
type snapshot struct {
	objects map[types.ManagedObjectReference]*object
	missing map[types.ManagedObjectReference]bool
	// standing is the session's user and language at the time (see session.Live.Standing). For
	// another user or in another language, every value may be different.
	standing any
}

// weight returns the approximate size of the snapshot in bytes.
func (t *snapshot) weight() int64 {
	n := int64(len(t.missing)) * baseObject
	for _, o := range t.objects {
		n += o.weight
	}
	return n
}

// withoutParts returns a copy that needs less memory. The next change of a list is then reported
// with the whole list.
func (t *snapshot) withoutParts() *snapshot {
	out := *t
	out.objects = make(map[types.ManagedObjectReference]*object, len(t.objects))
	for ref, o := range t.objects {
		out.objects[ref] = o.withoutParts()
	}
	return &out
}

// mark is the fingerprint of what a client knows about one path. It is enough to detect a change.
type mark struct {
	state value.State
	sum   uint64
	parts *value.Parts // in filters with partial updates
}

// missing is the state of a path that the caller may not read.
const missing = value.Present + 1

func (m mark) same(o mark) bool { return m.state == o.state && m.sum == o.sum }

// object records what a client knows about an object. It has a mark for each path of the plan.
type object struct {
	marks []mark
	// wake are the channels that report changes of the properties that were read.
	wake   []<-chan struct{}
	weight int64 // approximate size in bytes
}

// Approximate sizes of an object, a mark and a part in bytes.
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

// unchanged reports whether no property of the object has changed since it was read.
func (o *object) unchanged() bool {
	for _, c := range o.wake {
		select {
		case <-c:
			return false
		default:
		}
	}
	return true
}

var emptySnapshot = &snapshot{}

// updates returns the changes since the version from, as a new version. It returns nil if nothing
// has changed. It reports at most limit objects; the rest is left for the next call. If limit is 0,
// it reports all.
func (c *collector) updates(r *reader, from string, limit int) (*types.UpdateSet, error) {
	if err := c.lock(r.ctx, r.call); err != nil {
		return nil, err
	}
	defer c.unlock()
	// From here on the call computes, which may take long. It does not wait any more.
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
	next := make([]*snapshot, len(filters))
	for i, f := range filters {
		if next[i], err = u.filter(f, f.since(c, base)); err != nil {
			return nil, err
		}
		if next[i], err = f.reserve(next[i], f.since(c, base)); err != nil {
			return nil, err
		}
	}
	// A client at version 0 always gets a new version if the collector has filters.
	if len(u.sets) == 0 && (base != 0 || len(filters) == 0) {
		c.refresh(filters, next, base)
		return nil, nil
	}
	c.advance(filters, next, base)
	return &types.UpdateSet{Version: strconv.FormatUint(c.now, 10), FilterSet: u.sets, Truncated: &u.truncated}, nil
}

// parse parses a version. The collector knows its latest version and the one before it, which the
// client still has if it did not receive the last response.
func (c *collector) parse(from string) (uint64, error) {
	if from == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(from, 10, 64)
	// Leading zeros are refused: the call keeps the text while it waits, and zeros could make it a
	// megabyte long.
	if err != nil || n == 0 || n != c.now && n != c.before || from != strconv.FormatUint(n, 10) {
		return 0, vim.NewFault(&types.InvalidCollectorVersion{}, err)
	}
	return n, nil
}

// reserve reserves the memory of the filter's snapshots for the session. If the session may not
// hold that much, the next snapshot is stored without the parts of lists.
func (f *filter) reserve(next, base *snapshot) (*snapshot, error) {
	own := f.weight() + base.weight()
	err := f.of.api.Resize(f.ref, own+next.weight())
	if err != nil {
		next = next.withoutParts()
		err = f.of.api.Resize(f.ref, own+next.weight())
	}
	return next, err
}

// refresh replaces the snapshots of the version by next. Both have the same marks, but next has
// newer channels.
func (c *collector) refresh(filters []*filter, next []*snapshot, version uint64) {
	for i, f := range filters {
		switch {
		case version == c.now && f.now != nil:
			f.now = next[i]
		case version == c.before && f.before != nil:
			f.before = next[i]
		}
	}
}

// since returns the filter's snapshot at the version.
func (f *filter) since(c *collector, version uint64) *snapshot {
	t := f.before
	switch version {
	case 0:
		t = nil
	case c.now:
		t = f.now
	}
	if t == nil {
		return emptySnapshot
	}
	return t
}

// advance makes next the snapshots of a new version. If the client asks again from the version
// before the latest one, and nothing has changed since, the latest version stays: two equal calls
// at the same time get the same version.
func (c *collector) advance(filters []*filter, next []*snapshot, base uint64) {
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

func (t *snapshot) same(o *snapshot) bool {
	return maps.Equal(t.missing, o.missing) && maps.EqualFunc(t.objects, o.objects, func(a, b *object) bool {
		return a == b || slices.EqualFunc(a.marks, b.marks, mark.same)
	})
}

// update builds an UpdateSet.
type update struct {
	*reader
	limit     int // maximum number of objects; 0 means no limit
	count     int
	truncated bool
	sets      []types.PropertyFilterUpdate
}

// full reports whether the update set may not contain more objects, because the client's limit is
// reached or the response is long.
func (u *update) full() bool {
	if u.limit > 0 && u.count >= u.limit || u.count > 0 && u.call.Weight() > pageBytes {
		u.truncated = true
	}
	return u.truncated
}

// filter adds the filter's changes since base and returns the new snapshot.
func (u *update) filter(f *filter, base *snapshot) (*snapshot, error) {
	if u.truncated {
		return base, nil
	}
	found, err := u.selectObjects(f.spec, false)
	if err != nil {
		return nil, err
	}
	set := types.PropertyFilterUpdate{Filter: f.ref}
	standing := u.call.Session.Standing()
	next := &snapshot{objects: make(map[types.ManagedObjectReference]*object, len(found.items)), standing: standing}
	u.missingObjects(&set, next, base, found.missing)
	present := make(map[types.ManagedObjectReference]bool, len(found.items))
	for _, it := range found.items {
		was := base.objects[it.ref]
		if was != nil && base.standing == standing && !it.plan.alwaysRead && was.unchanged() {
			for _, c := range was.wake {
				u.wake.add(c)
			}
			present[it.ref], next.objects[it.ref] = true, was
			continue
		}
		ok, err := u.item(f, it, &set, was, next)
		if err != nil {
			return nil, err
		}
		if ok {
			present[it.ref] = true
		}
	}
	u.leave(&set, next, base, present)
	if len(set.ObjectSet)+len(set.MissingSet) > 0 {
		u.sets = append(u.sets, set)
	}
	return next, nil
}

// item reads an object and adds its changes to the set. It reports false if the object no longer
// exists.
func (u *update) item(f *filter, it item, set *types.PropertyFilterUpdate, was *object, next *snapshot) (bool, error) {
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
		// The object is not reported, so the client's knowledge of it stays.
		if was != nil {
			next.objects[it.ref] = was
		}
	default:
		if fault := u.api.Answer(u.call, u.weigh(results, was == nil)); fault != nil {
			return false, fault
		}
		u.count++
		set.ObjectSet = append(set.ObjectSet, change)
		next.objects[it.ref] = now
	}
	return true, nil
}

// missingObjects reports the objects that the filter names and that don't exist.
func (u *update) missingObjects(
	set *types.PropertyFilterUpdate, next, base *snapshot, refs []types.ManagedObjectReference,
) {
	for _, ref := range refs {
		if next.missing == nil {
			next.missing = map[types.ManagedObjectReference]bool{}
		}
		if !base.missing[ref] && !next.missing[ref] {
			set.MissingSet = append(set.MissingSet,
				types.MissingObject{Obj: ref, Fault: u.localized(vim.ObjectNotFound(ref))})
		}
		next.missing[ref] = true
	}
}

// leave reports the objects that the filter no longer selects.
func (u *update) leave(
	set *types.PropertyFilterUpdate, next, base *snapshot, present map[types.ManagedObjectReference]bool,
) {
	var gone []types.ManagedObjectReference
	for ref := range base.objects {
		if !present[ref] {
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

// mark computes the marks of the results.
func (u *update) mark(f *filter, results []result) (*object, error) {
	marks := make([]mark, len(results))
	for i := range results {
		r, m := &results[i], &marks[i]
		m.state = r.state
		switch {
		case r.state == missing:
			m.sum = u.values.Sum(reflect.ValueOf(r.fault.Kind()))
		case r.state == value.Present && r.watched:
			// A property that is not watched never changes, except the current time, which would be
			// a change in every call. So it has no fingerprint.
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

// object returns the changes of an object, and whether there are any. was is nil for a new object.
func (u *update) object(it item, was, now *object, results []result) (types.ObjectUpdate, bool) {
	out := types.ObjectUpdate{Kind: types.ObjectUpdateKindModify, Obj: it.ref}
	if was == nil {
		out.Kind = types.ObjectUpdateKindEnter
	}
	for i := range results {
		p := &it.plan.paths[i]
		switch {
		case was != nil && was.marks[i].same(now.marks[i]):
		case results[i].state == missing:
			out.MissingSet = append(out.MissingSet, u.missing(p.Text, results[i].fault))
		case was == nil:
			out.ChangeSet = u.first(out.ChangeSet, p, &results[i])
		default:
			out.ChangeSet = u.change(out.ChangeSet, p, was.marks[i], now.marks[i], &results[i])
		}
	}
	return out, was == nil || len(out.ChangeSet)+len(out.MissingSet) > 0
}
