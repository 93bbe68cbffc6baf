package history

import (
	"context"
	"errors"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/vim"
)

// eventHistoryCollector is what CreateCollectorForEvents makes. It belongs to
// the session that made it.
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
			vim.NewProperty("latestPage", vim.View, a.latestPage, vim.Watched(a.eventsChanged)),
		},
	}
}

// collector is the state of an EventHistoryCollector.
type collector struct {
	*event.Collector
	filter types.EventFilterSpec
}

func (a *api) createCollectorForEvents(_ context.Context, c *vim.Call, r *types.CreateCollectorForEventsRequestType) (types.ManagedObjectReference, error) {
	f, err := a.eventFilter(&r.Filter)
	if err != nil {
		return types.ManagedObjectReference{}, err
	}
	made, err := a.Events.NewCollector(f)
	if err != nil {
		return types.ManagedObjectReference{}, err
	}
	ref, err := a.NewInstance(c.Session, "EventHistoryCollector", &collector{made, r.Filter})
	if f, ok := errors.AsType[*vim.Fault](err); ok && f.Kind() == "LimitExceeded" {
		// The API's word for more collectors than maxCollector.
		return types.ManagedObjectReference{}, vim.NewFault(&types.InvalidState{}, err)
	}
	return ref, err
}

func collectorOf(c *vim.Call) *collector { return c.Instance.(*collector) }

func (a *api) collectorFilter(_ context.Context, c *vim.Call) (types.AnyType, error) {
	return collectorOf(c).filter, nil
}

func (a *api) latestPage(_ context.Context, c *vim.Call) ([]types.BaseEvent, error) {
	k := collectorOf(c)
	return a.apiEvents(c, k.LatestPage(), &k.filter), nil
}

func (a *api) readNextEvents(_ context.Context, c *vim.Call, r *types.ReadNextEventsRequestType) ([]types.BaseEvent, error) {
	return a.page(c, collectorOf(c).ReadNext, r.MaxCount)
}

func (a *api) readPreviousEvents(_ context.Context, c *vim.Call, r *types.ReadPreviousEventsRequestType) ([]types.BaseEvent, error) {
	return a.page(c, collectorOf(c).ReadPrevious, r.MaxCount)
}

func (a *api) page(c *vim.Call, read func(int) ([]event.Event, error), n int32) ([]types.BaseEvent, error) {
	found, err := read(int(n))
	if err != nil {
		return nil, maxCountFault(err)
	}
	return a.apiEvents(c, found, &collectorOf(c).filter), nil
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
	return maxCountFault(collectorOf(c).SetPageSize(int(r.MaxCount)))
}

func (a *api) destroyCollector(_ context.Context, c *vim.Call, _ *types.DestroyCollectorRequestType) error {
	a.Destroy(c.Object)
	return nil
}
