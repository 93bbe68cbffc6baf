package transfer

import (
	"context"
	"maps"
	"slices"

	"github.com/vigate/vigate/internal/store"
)

// appended collects the appended records of a source, and their Numberings. These records must be
// copied in their order, which the stream does not keep within a whole state.
type appended struct {
	records   map[store.Kind][]store.Record
	numbering map[string]store.Record // by id
}

// take keeps the record if it is an appended one or a Numbering, and reports whether it did.
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

// each calls do for each record that take has kept.
func (a *appended) each(ctx context.Context, without []store.Kind, do visit) error {
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

// kind calls do for the records of one kind, under ids that state their numbers. If the kind is
// left out, the Numbering that goes into the copy says that all of them were removed.
func (a *appended) kind(ctx context.Context, k store.Kind, leave bool, do visit) error {
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
