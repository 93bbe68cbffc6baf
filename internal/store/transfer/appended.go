package transfer

import (
	"context"
	"maps"
	"slices"

	"github.com/vigate/vigate/internal/store"
)

// appended gathers the records that have an order, which a stream's whole state
// need not keep to, and how they are numbered.
type appended struct {
	records   map[store.Kind][]store.Record
	numbering map[string]store.Record // by id
}

// take keeps the record if it is for each, and reports whether it is.
func (a *appended) take(r store.Record) bool {
	switch {
	case r.Kind == store.Numbers:
		if a.numbering == nil {
			a.numbering = map[string]store.Record{}
		}
		a.numbering[r.ID] = r
	case r.Kind.Appended():
		if a.records == nil {
			a.records = map[store.Kind][]store.Record{}
		}
		a.records[r.Kind] = append(a.records[r.Kind], r)
	default:
		return false
	}
	return true
}

// each calls do for each record that was kept.
func (a *appended) each(ctx context.Context, without []store.Kind, do func(context.Context, store.Record) error) error {
	for _, k := range slices.Sorted(maps.Keys(a.records)) {
		if err := a.kind(ctx, k, slices.Contains(without, k), do); err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(a.numbering)) {
		if err := do(ctx, a.numbering[id]); err != nil {
			return err
		}
	}
	return nil
}

func (a *appended) kind(ctx context.Context, k store.Kind, leave bool, do func(context.Context, store.Record) error) error {
	var n store.Numbering
	if r, ok := a.numbering[store.NumberingID(k)]; ok {
		var err error
		if n, err = store.ParseNumbering(r); err != nil {
			return err
		}
	}
	numbers := n.Numberer()
	records := a.records[k]
	slices.SortFunc(records, store.Before)
	for _, r := range records {
		r.ID = store.NumberedID(numbers.Next(r.ID))
		if err := do(ctx, r); err != nil {
			return err
		}
	}
	if leave {
		n.Removed = numbers.Last()
		a.take(n.Record(k))
	}
	return nil
}
