package session

import (
	"crypto/subtle"
	"encoding/binary"
	"iter"
	"maps"
)

// index finds sessions by their Hash or their Key. Both are random, so the first eight bytes
// suffice as the map's key, which takes a third of the memory of a map with whole keys. A session
// that is found is compared in full. The zero value is empty.
type index[K name] struct {
	byHead map[uint64]*Live
	rest   map[K]*Live // sessions whose first eight bytes collide with another's; nearly always empty
}

// name is a key that an index finds sessions by.
type name interface {
	comparable
	head() uint64
	of(*Live) bool // whether it is the session's name
}

func (h Hash) head() uint64 { return binary.LittleEndian.Uint64(h[:]) }
func (k Key) head() uint64  { return binary.LittleEndian.Uint64(k[:]) }

func (h Hash) of(l *Live) bool { return subtle.ConstantTimeCompare(h[:], l.token[:]) == 1 }
func (k Key) of(l *Live) bool  { return k == l.key }

func (x *index[K]) get(k K) *Live {
	if l := x.byHead[k.head()]; l != nil && k.of(l) {
		return l
	}
	return x.rest[k]
}

// put makes l the session that is found by k, which is its name.
func (x *index[K]) put(k K, l *Live) {
	was := x.byHead[k.head()]
	if _, ok := x.rest[k]; ok || was != nil && !k.of(was) {
		if x.rest == nil {
			x.rest = map[K]*Live{}
		}
		x.rest[k] = l
		return
	}
	if x.byHead == nil {
		x.byHead = map[uint64]*Live{}
	}
	x.byHead[k.head()] = l
}

// remove makes l no longer found by k. If another session has taken over the name, it stays.
func (x *index[K]) remove(k K, l *Live) {
	switch l {
	case x.byHead[k.head()]:
		delete(x.byHead, k.head())
	case x.rest[k]:
		delete(x.rest, k)
	}
}

func (x *index[K]) size() int { return len(x.byHead) + len(x.rest) }

// all yields every session. The index must not change during the iteration.
func (x *index[K]) all() iter.Seq[*Live] {
	return func(yield func(*Live) bool) {
		for _, m := range []iter.Seq[*Live]{maps.Values(x.byHead), maps.Values(x.rest)} {
			for l := range m {
				if !yield(l) {
					return
				}
			}
		}
	}
}
