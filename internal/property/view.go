package property

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/budget"
	"github.com/vigate/vigate/internal/vim"
)

const (
	listViewType      = "ListView"
	containerViewType = "ContainerView"

	// maxViewed is the maximum number of objects in a list view.
	maxViewed = 10_000
)

func (s *service) viewManager() *vim.Object {
	return &vim.Object{
		Type: "ViewManager", ID: "ViewManager",
		Methods: []vim.Method{
			vim.NewMethod("CreateContainerView", vim.View, s.createContainerView,
				vim.Faults("ManagedObjectNotFound", "InvalidArgument")),
			vim.NewMethod("CreateListView", vim.View, s.createListView, vim.Faults("ManagedObjectNotFound")),
		},
		Properties: []vim.Property{
			vim.NewProperty("viewList", vim.View, s.viewList, vim.Watched(s.viewListChanged)),
		},
	}
}

func (s *service) listView() *vim.Object {
	return &vim.Object{
		Type: listViewType,
		Methods: []vim.Method{
			vim.NewVoid("DestroyView", vim.View, s.destroyView),
			vim.NewMethod("ModifyListView", vim.View, s.modifyListView),
			vim.NewMethod("ResetListView", vim.View, s.resetListView),
			vim.NewVoid("ResetListViewFromView", vim.View, s.resetListViewFromView,
				vim.Faults("ManagedObjectNotFound")),
		},
		Properties: []vim.Property{
			vim.NewProperty("view", vim.View, s.listed, vim.Watched(viewChanged)),
		},
	}
}

func (s *service) containerView() *vim.Object {
	return &vim.Object{
		Type: containerViewType,
		Methods: []vim.Method{
			vim.NewVoid("DestroyView", vim.View, s.destroyView),
		},
		Properties: []vim.Property{
			vim.NewProperty("container", vim.View,
				func(_ context.Context, c *vim.Call) (types.ManagedObjectReference, error) {
					return c.Instance.(*view).container, nil
				}),
			vim.NewProperty("recursive", vim.View, func(_ context.Context, c *vim.Call) (bool, error) {
				return c.Instance.(*view).recursive, nil
			}),
			vim.NewProperty("type", vim.View, func(_ context.Context, c *vim.Call) ([]string, error) {
				return c.Instance.(*view).types, nil
			}),
			vim.NewProperty("view", vim.View, s.contained, vim.Watched(viewChanged)),
		},
	}
}

// view is the state of a ListView or a ContainerView.
type view struct {
	owner *owner

	// The next three fields are used by container views only.
	container types.ManagedObjectReference
	types     []string
	recursive bool

	mu      sync.Mutex // guards the fields below
	ref     types.ManagedObjectReference
	list    []types.ManagedObjectReference // of a list view; replaced when it changes, never modified
	changed chan struct{}                  // closed when list changes and when the view is closed
	closed  bool
}

// Close removes the view from its session's list of views.
func (v *view) Close() {
	v.mu.Lock()
	v.closed = true
	v.notify()
	ref := v.ref
	v.mu.Unlock()
	o := v.owner
	o.mu.Lock()
	defer o.mu.Unlock()
	o.views = slices.DeleteFunc(slices.Clone(o.views), func(r types.ManagedObjectReference) bool { return r == ref })
	o.notifyViews()
}

// notify wakes the waiting calls because the view has changed. The caller holds mu.
func (v *view) notify() {
	close(v.changed)
	v.changed = make(chan struct{})
}

func (o *owner) notifyViews() {
	close(o.viewsChanged)
	o.viewsChanged = make(chan struct{})
}

func viewChanged(c *vim.Call) <-chan struct{} {
	v := c.Instance.(*view)
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.changed
}

// newView adds the view to the caller's session.
func (s *service) newView(c *vim.Call, typ string, v *view) (types.ManagedObjectReference, error) {
	o, err := s.ensureOwner(c)
	if err != nil {
		return types.ManagedObjectReference{}, err
	}
	v.owner, v.changed = o, make(chan struct{})
	ref, err := s.instance(c, typ, v, v.weight(v.list))
	if err != nil {
		return types.ManagedObjectReference{}, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return types.ManagedObjectReference{}, vim.NotAuthenticated(c.Object, vim.View)
	}
	v.ref = ref
	o.mu.Lock()
	defer o.mu.Unlock()
	o.views = append(o.views[:len(o.views):len(o.views)], ref)
	o.notifyViews()
	return ref, nil
}

// weight returns the approximate size in bytes that the view has with the list.
func (v *view) weight(list []types.ManagedObjectReference) int64 {
	return budget.Weight(v.container) + budget.Weight(v.types) + budget.Weight(list)
}

func (s *service) viewList(_ context.Context, c *vim.Call) ([]types.ManagedObjectReference, error) {
	o := s.owner(c)
	if o == nil {
		return nil, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.views, nil
}

func (s *service) viewListChanged(c *vim.Call) <-chan struct{} {
	o := s.owner(c)
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.viewsChanged
}

func (s *service) destroyView(_ context.Context, c *vim.Call, _ *types.DestroyViewRequestType) error {
	s.api.Destroy(c.Object)
	return nil
}

func (s *service) createListView(
	_ context.Context, c *vim.Call, r *types.CreateListViewRequestType,
) (types.ManagedObjectReference, error) {
	found, lost := s.resolve(c, r.Obj)
	if len(lost) > 0 {
		return types.ManagedObjectReference{}, vim.ObjectNotFound(lost[0])
	}
	if len(found) > maxViewed {
		return types.ManagedObjectReference{}, tooMany("obj", maxViewed)
	}
	return s.newView(c, listViewType, &view{list: found})
}

// resolve splits the objects into existing and missing ones. Each existing object is returned once.
func (s *service) resolve(
	c *vim.Call, refs []types.ManagedObjectReference,
) (found, lost []types.ManagedObjectReference) {
	seen := map[types.ManagedObjectReference]bool{}
	for _, ref := range refs {
		switch {
		case seen[ref]:
		case s.api.Exists(c, ref) != nil:
			lost = append(lost, ref)
		default:
			found = append(found, ref)
		}
		seen[ref] = true
	}
	return found, lost
}

func (s *service) listed(_ context.Context, c *vim.Call) ([]types.ManagedObjectReference, error) {
	v := c.Instance.(*view)
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.list, nil
}

// modifyListView returns the objects that could not be added because they don't exist.
func (s *service) modifyListView(
	_ context.Context, c *vim.Call, r *types.ModifyListViewRequestType,
) ([]types.ManagedObjectReference, error) {
	found, lost := s.resolve(c, r.Add)
	out := make(map[types.ManagedObjectReference]bool, len(r.Remove))
	for _, ref := range r.Remove {
		out[ref] = true
	}
	return lost, c.Instance.(*view).change(func(list []types.ManagedObjectReference) []types.ManagedObjectReference {
		had := make(map[types.ManagedObjectReference]bool, len(list))
		for _, ref := range list {
			had[ref] = true
		}
		for _, ref := range found {
			if !had[ref] {
				list = append(list, ref)
			}
		}
		return slices.DeleteFunc(list, func(ref types.ManagedObjectReference) bool { return out[ref] })
	})
}

func (s *service) resetListView(
	_ context.Context, c *vim.Call, r *types.ResetListViewRequestType,
) ([]types.ManagedObjectReference, error) {
	found, lost := s.resolve(c, r.Obj)
	return lost, c.Instance.(*view).change(
		func([]types.ManagedObjectReference) []types.ManagedObjectReference { return found })
}

func (s *service) resetListViewFromView(
	ctx context.Context, c *vim.Call, r *types.ResetListViewFromViewRequestType,
) error {
	if !isA(r.View.Type, "ManagedObjectView") {
		return vim.InvalidArgument("view", errors.New("not a view"))
	}
	from, fault := s.api.Read(ctx, c, r.View, "view")
	if fault != nil {
		return fault
	}
	refs, ok := from.([]types.ManagedObjectReference)
	if !ok {
		return vim.InvalidArgument("view", fmt.Errorf("holds a %T", from))
	}
	return c.Instance.(*view).change(func([]types.ManagedObjectReference) []types.ManagedObjectReference {
		return refs
	})
}

// change replaces the list by the result of f for a copy of the list.
func (v *view) change(f func([]types.ManagedObjectReference) []types.ManagedObjectReference) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	list := f(slices.Clone(v.list))
	if len(list) > maxViewed {
		return tooMany("obj", maxViewed)
	}
	if slices.Equal(list, v.list) {
		return nil
	}
	if err := v.owner.base.api.Resize(v.ref, v.weight(list)); err != nil {
		return err
	}
	v.list = list
	v.notify()
	return nil
}

// containers maps the types of objects that contain others to the property that lists the contents.
var containers = map[string]string{"Folder": "childEntity"}

func (s *service) createContainerView(
	_ context.Context, c *vim.Call, r *types.CreateContainerViewRequestType,
) (types.ManagedObjectReference, error) {
	if fault := s.api.Exists(c, r.Container); fault != nil {
		return types.ManagedObjectReference{}, fault
	}
	if containers[r.Container.Type] == "" {
		return types.ManagedObjectReference{}, vim.InvalidArgument("container", errors.New("contains nothing"))
	}
	if len(r.Type) > maxTypes {
		return types.ManagedObjectReference{}, tooMany("type", maxTypes)
	}
	for _, t := range r.Type {
		if !isEntity(t) {
			return types.ManagedObjectReference{}, vim.InvalidArgument("type", errors.New("not a type of entity"))
		}
	}
	return s.newView(c, containerViewType, &view{container: r.Container, types: r.Type, recursive: r.Recursive})
}

// isEntity reports whether the type is a type of inventory object.
func isEntity(typ string) bool {
	if typ == "ManagedEntity" {
		return true
	}
	_, ok := mo.Value(types.ManagedObjectReference{Type: typ})
	return ok
}

// contained returns the current content of the view's container.
func (s *service) contained(ctx context.Context, c *vim.Call) ([]types.ManagedObjectReference, error) {
	v := c.Instance.(*view)
	var all []types.ManagedObjectReference
	seen := map[types.ManagedObjectReference]bool{v.container: true}
	for next := []types.ManagedObjectReference{v.container}; len(next) > 0; next = next[1:] {
		property := containers[next[0].Type]
		if property == "" {
			continue
		}
		children, fault := s.api.Read(ctx, c, next[0], property)
		if fault != nil {
			return nil, fault
		}
		refs, _ := children.([]types.ManagedObjectReference)
		for _, ref := range refs {
			if seen[ref] {
				continue
			}
			seen[ref] = true
			if len(v.types) == 0 || slices.ContainsFunc(v.types, func(t string) bool { return isA(ref.Type, t) }) {
				all = append(all, ref)
			}
			if v.recursive {
				next = append(next, ref)
			}
		}
	}
	return all, nil
}
