package history

import (
	"context"
	"errors"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/budget"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/vim"
)

// eventHistoryCollector describes the objects that CreateCollectorForEvents creates. Each belongs
// to the session that created it.
func (a *api) eventHistoryCollector() *vim.Object {
	return &vim.Object{
		Type: "EventHistoryCollector",
		Methods: []vim.Method{
			vim.NewVoid("DestroyCollector", vim.View, a.destroyCollector),
			vim.NewMethod("ReadNextEvents", vim.View, a.readNextEvents, vim.Faults("InvalidArgument")),
			vim.NewMethod("ReadPreviousEvents", vim.View, a.readPreviousEvents, vim.Faults("InvalidArgument")),
			vim.NewVoid("ResetCollector", vim.View, a.resetCollector),
			vim.NewVoid("RewindCollector", vim.View, a.rewindCollector),
			vim.NewVoid("SetCollectorPageSize", vim.View, a.setCollectorPageSize, vim.Faults("InvalidArgument")),
		},
		Properties: []vim.Property{
			vim.NewProperty("filter", vim.View, a.collectorFilter),
			// The latest page is there from the beginning, if delayedInit says so or not.
			vim.NewFixed("initialized", vim.View, true),
			vim.NewProperty("latestPage", vim.View, a.latestPage, vim.Watched(pageChanged)),
		},
	}
}

// collector is the state of an EventHistoryCollector.
type collector struct {
	*event.Collector
	filter types.EventFilterSpec
}

// weight returns the approximate size in bytes of a collector with pages of the given size. The
// compiled filter takes three times as much as the filter itself. For a page, the collector keeps
// event numbers only.
func (k *collector) weight(page int) int64 { return 4*budget.Weight(&k.filter) + 8*int64(page) }

func pageChanged(c *vim.Call) <-chan struct{} { return collectorOf(c).Changed() }

func (a *api) createCollectorForEvents(
	_ context.Context, c *vim.Call, r *types.CreateCollectorForEventsRequestType,
) (types.ManagedObjectReference, error) {
	f, err := a.eventFilter(&r.Filter)
	if err != nil {
		return types.ManagedObjectReference{}, err
	}
	made, err := a.log.NewCollector(f)
	if err != nil {
		return types.ManagedObjectReference{}, err
	}
	k := &collector{made, r.Filter}
	ref, err := a.NewInstance(c.Session, "EventHistoryCollector", k, k.weight(made.PageSize()))
	if e, ok := errors.AsType[*budget.ExceededError](err); ok && e.Kind == budget.Objects && !e.Temporary() {
		// The API defines this fault for more collectors than maxCollector.
		return types.ManagedObjectReference{}, vim.NewFault(&types.InvalidState{}, err)
	}
	return ref, err
}

func collectorOf(c *vim.Call) *collector { return c.Instance.(*collector) }

func (a *api) collectorFilter(_ context.Context, c *vim.Call) (types.AnyType, error) {
	return collectorOf(c).filter, nil
}

func (a *api) latestPage(ctx context.Context, c *vim.Call) ([]types.BaseEvent, error) {
	k := collectorOf(c)
	return a.apiEvents(ctx, c, k.LatestPage(), &k.filter)
}

func (a *api) readNextEvents(
	ctx context.Context, c *vim.Call, r *types.ReadNextEventsRequestType,
) ([]types.BaseEvent, error) {
	return a.page(ctx, c, collectorOf(c).ReadNext, r.MaxCount)
}

func (a *api) readPreviousEvents(
	ctx context.Context, c *vim.Call, r *types.ReadPreviousEventsRequestType,
) ([]types.BaseEvent, error) {
	return a.page(ctx, c, collectorOf(c).ReadPrevious, r.MaxCount)
}

func (a *api) page(
	ctx context.Context, c *vim.Call, read func(int) ([]event.Event, error), n int32,
) ([]types.BaseEvent, error) {
	if err := a.scanWork(ctx, c); err != nil {
		return nil, err
	}
	// This check comes before the position moves. Otherwise a refused response would skip events.
	const each = 1 << 10 // approximate size of an event in bytes
	if fault := a.Answer(c, each*int64(max(0, min(n, event.MaxCount)))); fault != nil {
		return nil, fault
	}
	found, err := read(int(n))
	if err != nil {
		return nil, maxCountFault(err)
	}
	return a.apiEvents(ctx, c, found, &collectorOf(c).filter)
}

func maxCountFault(err error) error {
	if errors.Is(err, event.ErrMaxCount) {
		return vim.InvalidArgument("maxCount", err)
	}
	return err
}

func (a *api) rewindCollector(_ context.Context, c *vim.Call, _ *types.RewindCollectorRequestType) error {
	collectorOf(c).Rewind()
	return nil
}

func (a *api) resetCollector(_ context.Context, c *vim.Call, _ *types.ResetCollectorRequestType) error {
	collectorOf(c).Reset()
	return nil
}

func (a *api) setCollectorPageSize(_ context.Context, c *vim.Call, r *types.SetCollectorPageSizeRequestType) error {
	k, page := collectorOf(c), int(r.MaxCount)
	if page > 0 && page <= event.MaxCount { // other sizes are refused below
		if err := a.Resize(c.Object, k.weight(page)); err != nil {
			return err
		}
	}
	return maxCountFault(k.SetPageSize(page))
}

func (a *api) destroyCollector(_ context.Context, c *vim.Call, _ *types.DestroyCollectorRequestType) error {
	a.Destroy(c.Object)
	return nil
}
