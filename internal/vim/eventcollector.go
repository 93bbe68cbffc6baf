package vim

import (
	"context"
	"errors"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/event"
)

// eventHistoryCollector is what CreateCollectorForEvents makes. It belongs to
// the session that made it.
func (a *API) eventHistoryCollector() *Object {
	return &Object{
		Type: "EventHistoryCollector",
		Methods: []Method{
			NewVoid("DestroyCollector", View, a.destroyCollector),
			NewMethod("ReadNextEvents", View, a.readNextEvents, Faults("InvalidArgument")),
			NewMethod("ReadPreviousEvents", View, a.readPreviousEvents, Faults("InvalidArgument")),
			NewVoid("ResetCollector", View, a.resetCollector),
			NewVoid("RewindCollector", View, a.rewindCollector),
			NewVoid("SetCollectorPageSize", View, a.setCollectorPageSize, Faults("InvalidArgument")),
		},
		Properties: []Property{
			NewProperty("filter", View, a.collectorFilter),
			NewProperty("latestPage", View, a.latestPage, Watched(a.eventsChanged)),
		},
	}
}

// collector is the state of an EventHistoryCollector.
type collector struct {
	*event.Collector
	filter types.EventFilterSpec
}

func (a *API) createCollectorForEvents(_ context.Context, c *Call, r *types.CreateCollectorForEventsRequestType) (types.ManagedObjectReference, error) {
	f, err := a.eventFilter(&r.Filter)
	if err != nil {
		return types.ManagedObjectReference{}, err
	}
	made, err := a.Events.NewCollector(f)
	if err != nil {
		return types.ManagedObjectReference{}, err
	}
	ref, err := a.NewInstance(c.Session, "EventHistoryCollector", &collector{made, r.Filter})
	if f, ok := errors.AsType[*Fault](err); ok && f.Kind() == "LimitExceeded" {
		// The API's word for more collectors than maxCollector.
		return types.ManagedObjectReference{}, NewFault(&types.InvalidState{}, err)
	}
	return ref, err
}

func collectorOf(c *Call) *collector { return c.Instance.(*collector) }

func (a *API) collectorFilter(_ context.Context, c *Call) (types.AnyType, error) {
	return collectorOf(c).filter, nil
}

func (a *API) latestPage(_ context.Context, c *Call) ([]types.BaseEvent, error) {
	k := collectorOf(c)
	return a.apiEvents(c, k.LatestPage(), &k.filter), nil
}

func (a *API) readNextEvents(_ context.Context, c *Call, r *types.ReadNextEventsRequestType) ([]types.BaseEvent, error) {
	return a.page(c, collectorOf(c).ReadNext, r.MaxCount)
}

func (a *API) readPreviousEvents(_ context.Context, c *Call, r *types.ReadPreviousEventsRequestType) ([]types.BaseEvent, error) {
	return a.page(c, collectorOf(c).ReadPrevious, r.MaxCount)
}

func (a *API) page(c *Call, read func(int) ([]event.Event, error), n int32) ([]types.BaseEvent, error) {
	found, err := read(int(n))
	if err != nil {
		return nil, maxCountFault(err)
	}
	return a.apiEvents(c, found, &collectorOf(c).filter), nil
}

func maxCountFault(err error) error {
	if errors.Is(err, event.ErrMaxCount) {
		return InvalidArgument("maxCount", err)
	}
	return err
}

func (a *API) rewindCollector(_ context.Context, c *Call, _ *types.RewindCollectorRequestType) error {
	collectorOf(c).Rewind()
	return nil
}

func (a *API) resetCollector(_ context.Context, c *Call, _ *types.ResetCollectorRequestType) error {
	collectorOf(c).Reset()
	return nil
}

func (a *API) setCollectorPageSize(_ context.Context, c *Call, r *types.SetCollectorPageSizeRequestType) error {
	return maxCountFault(collectorOf(c).SetPageSize(int(r.MaxCount)))
}

func (a *API) destroyCollector(_ context.Context, c *Call, _ *types.DestroyCollectorRequestType) error {
	a.Destroy(c.Object)
	return nil
}
