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

	// calc is a mutex that guards the versions and the snapshots of the filters. It is held while
	// properties are read, which may take long. It is a channel so that a call can stop waiting for
	// it when the call is canceled. See lock.
	calc chan struct{}
	// last is the number of the latest version. Version 0 is that of a client that knows nothing.
	last uint64
	// now is the latest version that was sent, and before is the version that the client had before
	// it. The client still has that one if the response was lost.
	now, before uint64

	mu      sync.Mutex    // guards the fields below
	filters []*filter     // replaced when it changes, never modified
	changed chan struct{} // closed when a filter is added or removed
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

// lock acquires calc.
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

// signals returns the channels that are closed when the filters change and when the client cancels
// the wait.
func (c *collector) signals() (changed, cancel <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed, c.cancel
}

// notify wakes the waiting calls because the filters have changed. The caller holds mu.
func (c *collector) notify() {
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

	// Snapshots at the collector's versions now and before. The collector's calc guards them.
	now, before *snapshot
}

// weight returns the approximate size of the filter in bytes, without its snapshots.
func (f *filter) weight() int64 { return int64(f.spec.weight) + budget.Weight(&f.given) }

// Close removes the filter from its collector.
func (f *filter) Close() {
	c := f.of
	c.mu.Lock()
	if i := slices.Index(c.filters, f); i >= 0 {
		c.filters = slices.Delete(slices.Clone(c.filters), i, i+1)
		c.notify()
	}
	c.mu.Unlock()
}

// collectorOf returns the collector of a call: one that the session created, or the session's
// default collector.
func (s *service) collectorOf(c *vim.Call) (*collector, error) {
	if own, ok := c.Instance.(*collector); ok {
		return own, nil
	}
	o, err := s.ensureOwner(c)
	if err != nil {
		return nil, err
	}
	return o.base, nil
}

func (s *service) createCollector(
	_ context.Context, c *vim.Call, _ *types.CreatePropertyCollectorRequestType,
) (types.ManagedObjectReference, error) {
	o, err := s.ensureOwner(c)
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

func (s *service) createFilter(
	ctx context.Context, c *vim.Call, r *types.CreateFilterRequestType,
) (types.ManagedObjectReference, error) {
	var none types.ManagedObjectReference
	k, err := s.collectorOf(c)
	if err != nil {
		return none, err
	}
	spec, err := s.compile(&r.Spec)
	if err != nil {
		return none, err
	}
	// The selection is discarded. It only reports objects that don't exist.
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

// add adds the filter to the collector. It reports false if the collector is closed.
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
	c.notify()
	return true
}

func (s *service) destroyFilter(_ context.Context, c *vim.Call, _ *types.DestroyPropertyFilterRequestType) error {
	s.api.Destroy(c.Object)
	return nil
}

// filters returns the property "filter" of the collector. Reading it does not create a default
// collector.
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
