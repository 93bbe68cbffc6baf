// Package named keeps the records of one kind of principals, such as the local users, in memory, and finds them by
// name.
//
// [Records] is the content of a view. While a whole state is being loaded, the previous content stays in force. A
// record that can't be read is known, but not found. Neither are records whose names are the same: an older version,
// which compared names less strictly, may have stored several. Rights that were given to one would apply to another.
// [Records.Get] returns the [Damage] in both cases. The package does not know what a record contains.
package named

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/store"
)

// Options are the parameters of Records. All are required.
type Options struct {
	Kind   string // of the records, in errors, such as "account"
	Prefix string // of the ids of the records, before the key of the name
	Same   error  // the cause of the damage of records whose names are the same
}

// Entry is a record that can be read.
type Entry[T any] struct {
	ID       string
	Revision store.Revision
	Name     principal.Name
	Value    T
}

// Damage is the reason why a record is not found.
type Damage struct {
	ID       string
	Revision store.Revision
	Err      error
}

// Records are the records of one kind. They are not safe for concurrent use: their owner guards them.
type Records[T any] struct {
	o       Options
	current *content[T]
	next    *content[T] // the whole state that is being loaded; otherwise nil
}

type content[T any] struct {
	rows    map[string]row[T] // by record id
	names   principal.Index   // of rows
	damaged map[string]Damage
}

type row[T any] struct {
	Entry[T]
	look string // principal.Look of the name
}

func newContent[T any]() *content[T] {
	return &content[T]{rows: map[string]row[T]{}, names: principal.Index{}, damaged: map[string]Damage{}}
}

// New returns no records.
func New[T any](o Options) *Records[T] { return &Records[T]{o: o, current: newContent[T]()} }

// Reset begins to load a whole state. The previous records stay in force until Whole.
func (r *Records[T]) Reset() { r.next = newContent[T]() }

// Whole puts the loaded state in force.
func (r *Records[T]) Whole() {
	if r.next != nil {
		r.current, r.next = r.next, nil
	}
}

// Loading reports whether changes are part of a state that is being loaded.
func (r *Records[T]) Loading() bool { return r.next != nil }

// target returns the content that changes apply to.
func (r *Records[T]) target() *content[T] {
	if r.next != nil {
		return r.next
	}
	return r.current
}

// Put adds a record, in place of one with the same id. If other records have the same name, it returns the ids of all
// of them.
func (r *Records[T]) Put(e Entry[T]) (same []string) {
	c := r.target()
	c.remove(e.ID)
	c.rows[e.ID] = row[T]{e, principal.Look(e.Name.User)}
	c.names.Put(e.Name, e.ID)
	if ids := c.names.Find(e.Name); len(ids) > 1 {
		return ids
	}
	return nil
}

// Damage adds a record that can't be read, in place of one with the same id, and returns the error for it.
func (r *Records[T]) Damage(id string, revision store.Revision, cause error) error {
	c := r.target()
	c.remove(id)
	err := r.damaged(id, cause)
	c.damaged[id] = Damage{id, revision, err}
	return err
}

func (r *Records[T]) damaged(id string, cause error) error {
	return &store.DamagedError{Where: fmt.Sprintf("%s %q", r.o.Kind, id), Cause: cause}
}

// Delete removes a record.
func (r *Records[T]) Delete(id string) { r.target().remove(id) }

func (c *content[T]) remove(id string) {
	if e, ok := c.rows[id]; ok {
		c.names.Delete(e.Name, id)
	}
	delete(c.rows, id)
	delete(c.damaged, id)
}

// Get returns the record of the name, or the reason why it is not found. If there is no record, it returns the zero
// value and nil.
func (r *Records[T]) Get(name principal.Name) (T, *Damage) {
	var none T
	for _, key := range []string{name.Key(), name.FormerKey()} {
		if d, ok := r.current.damaged[r.o.Prefix+key]; ok {
			return none, &d
		}
	}
	ids := r.current.names.Find(name)
	switch len(ids) {
	case 0:
		return none, nil
	case 1:
		return r.current.rows[ids[0]].Value, nil
	}
	meant := r.current.rows[ids[0]]
	for _, id := range ids {
		if e := r.current.rows[id]; e.Name.User == name.User {
			meant = e
		}
	}
	return none, &Damage{meant.ID, meant.Revision, r.damaged(meant.ID, r.o.Same)}
}

// Find returns the records of the name, even if they are several.
func (r *Records[T]) Find(name principal.Name) []T {
	var all []T
	for _, id := range r.current.names.Find(name) {
		all = append(all, r.current.rows[id].Value)
	}
	return all
}

// All yields the records that can be read, in any order.
func (r *Records[T]) All() iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, e := range r.current.rows {
			if !yield(e.Value) {
				return
			}
		}
	}
}

// Sorted yields the records that can be read, by their names.
func (r *Records[T]) Sorted() iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, key := range slices.Sorted(maps.Keys(r.current.names)) {
			for _, id := range r.current.names[key] {
				if !yield(r.current.rows[id].Value) {
					return
				}
			}
		}
	}
}

// Len returns the number of records, including those that can't be read.
func (r *Records[T]) Len() int { return len(r.current.rows) + len(r.current.damaged) }

// Alike reports whether there is a record whose name a reader could mistake for this one: see principal.Alike.
func (r *Records[T]) Alike(name string) bool {
	look := principal.Look(name)
	for _, e := range r.current.rows {
		if e.look == look {
			return true
		}
	}
	return false
}

// Damaged joins the reasons why records are not found. It is nil if all are.
func (r *Records[T]) Damaged() error {
	var all []error
	for _, id := range slices.Sorted(maps.Keys(r.current.damaged)) {
		all = append(all, r.current.damaged[id].Err)
	}
	for _, key := range slices.Sorted(maps.Keys(r.current.names)) {
		if ids := r.current.names[key]; len(ids) > 1 {
			all = append(all, r.damaged(ids[0], r.o.Same))
		}
	}
	return errors.Join(all...)
}
