package property

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/budget"
	"github.com/vigate/vigate/internal/vim"
)

// collector is the state of a PropertyCollector.
type collector struct {
	*service
	owner   *owner
	onClose func()

	// calc guards what the client was told: versions here, and what the filters
	// hold of them. It is held while properties are read, which may take long, so
	// it is a channel: a call waits for it no longer than for anything else. See
	// lock.
	calc chan struct{}
	// last numbers the versions. 0 is the empty one, that of who knows nothing.
	last uint64
	// now is the version that was told last, and before the one that the client
	// had then, which it still has if the answer was lost.
	now, before uint64

	mu      sync.Mutex    // guards what follows
	filters []*filter     // replaced, never written to
	changed chan struct{} // closed when a filter comes or goes
	cancel  chan struct{} // closed by CancelWaitForUpdates
	closed  chan struct{} // closed when the collector ends
}

func (s *service) newCollector(o *owner) *collector {
	return &collector{
		service: s, owner: o, onClose: func() {}, calc: make(chan struct{}, 1),
		changed: make(chan struct{}), cancel: make(chan struct{}), closed: make(chan struct{}),
	}
}

// Close ends the waits and the filters. It is called when the collector is
// destroyed or its session ends.
func (c *collector) Close() {
	c.mu.Lock()
	select {
	case <-c.closed:
		c.mu.Unlock()
		return
	default:
	}
	close(c.closed)
	filters := c.filters
	c.filters = nil
	c.mu.Unlock()
	for _, f := range filters {
		c.api.Destroy(f.ref)
	}
	c.onClose()
}

// lock takes calc.
func (c *collector) lock(ctx context.Context, call *vim.Call) error {
	select {
	case c.calc <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.closed:
		return vim.ObjectNotFound(call.Object)
	}
}

func (c *collector) unlock() { <-c.calc }

// signals are the channels of what happens to the collector itself.
func (c *collector) signals() (changed, cancel <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed, c.cancel
}

// touch tells who waits that the filters are others now. Callers hold mu.
func (c *collector) touch() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// filter is the state of a PropertyFilter.
type filter struct {
	of      *collector
	ref     types.ManagedObjectReference
	given   types.PropertyFilterSpec
	partial bool

	spec *filterSpec // used under the collector's calc

	// What the client was told as of the collector's versions now and before.
	// Guarded by the collector's calc.
	now, before *told
}

// weight is about how many bytes the filter takes, what the client was told of
// its objects left out.
func (f *filter) weight() int64 { return int64(f.spec.weight) + budget.Weight(&f.given) }

// Close takes the filter out of its collector.
func (f *filter) Close() {
	c := f.of
	c.mu.Lock()
	if i := slices.Index(c.filters, f); i >= 0 {
		c.filters = slices.Delete(slices.Clone(c.filters), i, i+1)
		c.touch()
	}
	c.mu.Unlock()
}

// collectorOf is the collector that is called: a session's own, or the default
// one, which each session has for itself.
func (s *service) collectorOf(c *vim.Call) (*collector, error) {
	if own, ok := c.Instance.(*collector); ok {
		return own, nil
	}
	o, err := s.own(c)
	if err != nil {
		return nil, err
	}
	return o.base, nil
}

func (s *service) createCollector(_ context.Context, c *vim.Call, _ *types.CreatePropertyCollectorRequestType) (types.ManagedObjectReference, error) {
	o, err := s.own(c)
	if err != nil {
		return types.ManagedObjectReference{}, err
	}
	return s.instance(c, collectorType, s.newCollector(o), 0)
}

func (s *service) destroyCollector(_ context.Context, c *vim.Call, _ *types.DestroyPropertyCollectorRequestType) error {
	if c.Instance == nil {
		return vim.NewFault(&types.NotSupported{}, errors.New("the default collector stays as long as its session"))
	}
	s.api.Destroy(c.Object)
	return nil
}

func (s *service) createFilter(ctx context.Context, c *vim.Call, r *types.CreateFilterRequestType) (types.ManagedObjectReference, error) {
	var none types.ManagedObjectReference
	k, err := s.collectorOf(c)
	if err != nil {
		return none, err
	}
	spec, err := s.compile(&r.Spec)
	if err != nil {
		return none, err
	}
	// Finding the objects now tells of those that are not there.
	if _, err := s.newReader(ctx, c).selectObjects(spec, true); err != nil {
		return none, err
	}
	f := &filter{of: k, given: r.Spec, partial: r.PartialUpdates, spec: spec}
	ref, err := s.instance(c, filterType, f, f.weight())
	if err != nil {
		return none, err
	}
	if !k.add(f, ref) {
		s.api.Destroy(ref)
		return none, vim.ObjectNotFound(c.Object)
	}
	return ref, nil
}

// add reports false where the collector has ended.
func (c *collector) add(f *filter, ref types.ManagedObjectReference) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.closed:
		return false
	default:
	}
	f.ref = ref
	c.filters = append(c.filters[:len(c.filters):len(c.filters)], f)
	c.touch()
	return true
}

func (s *service) destroyFilter(_ context.Context, c *vim.Call, _ *types.DestroyPropertyFilterRequestType) error {
	s.api.Destroy(c.Object)
	return nil
}

// filters is the collector's property. To ask is not to begin to use it.
func (s *service) filters(_ context.Context, c *vim.Call) ([]types.ManagedObjectReference, error) {
	var all []types.ManagedObjectReference
	if k := s.existing(c); k != nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		for _, f := range k.filters {
			all = append(all, f.ref)
		}
	}
	return all, nil
}

func (s *service) filtersChanged(c *vim.Call) <-chan struct{} {
	k := s.existing(c)
	if k == nil {
		return nil
	}
	changed, _ := k.signals()
	return changed
}

func (s *service) existing(c *vim.Call) *collector {
	if own, ok := c.Instance.(*collector); ok {
		return own
	}
	if o := s.owner(c); o != nil {
		return o.base
	}
	return nil
}

func (s *service) filterSpec(_ context.Context, c *vim.Call) (types.PropertyFilterSpec, error) {
	return c.Instance.(*filter).given, nil
}

func (s *service) filterPartial(_ context.Context, c *vim.Call) (bool, error) {
	return c.Instance.(*filter).partial, nil
}

func (s *service) cancelWait(_ context.Context, c *vim.Call, _ *types.CancelWaitForUpdatesRequestType) error {
	if k := s.existing(c); k != nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		close(k.cancel)
		k.cancel = make(chan struct{})
	}
	return nil
}
