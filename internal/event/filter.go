package event

import (
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"
	"unique"

	"github.com/vigate/vigate/internal/principal"
)

// Filter selects the events that match all of its fields that are set. It corresponds to the API's
// EventFilterSpec.
type Filter struct {
	Entity *Entity
	// Begin and End are inclusive. A zero time is no limit.
	Begin, End time.Time
	Users      *Users
	// ChainID selects the events of one chain. 0 selects all.
	ChainID int32
	// Alarm and ScheduledTask select events of an alarm or a scheduled task. vigate has neither, so
	// a filter with one of them selects nothing.
	Alarm, ScheduledTask bool
	// Categories are info, warning, error and user, see Category.
	Categories []string
	// Types are names of event types, with or without the prefix vim.event. A type also selects its
	// subtypes.
	Types []string
	// IDs are event type ids. An EventEx has exactly the id that it contains. For all other events,
	// the ids are the names of the type and its supertypes, with or without the prefix vim.event.
	IDs []string
	// Tags are change tags. The empty tag selects events without a tag.
	Tags []string
	// MaxCount is 1 to 1,000. If it is 0, a query returns up to 1,000 events, and a collector's
	// page has 10.
	MaxCount int
}

// Entity selects the events of an inventory object.
type Entity struct {
	ID        string // such as group-d1
	Recursion string // self, children or all
}

// RootFolder is the id of the object to which all events belong.
const RootFolder = "group-d1"

// Users selects events by the user who acted.
type Users struct {
	// System also selects events that no user caused.
	System bool
	// Keys are the users, as UserKeys returns them. If empty, all users are selected.
	Keys []string
}

// UserKeys converts user names from clients to keys for Users. A name without a domain may be the
// key of an extension or a user of the default domain, so it gives two keys. A name that can't be a
// principal is also used, because a failed login may contain any name.
func UserKeys(names []string, defaultDomain string) []string {
	var keys []string
	for _, s := range names {
		keys = append(keys, principal.Fold(s))
		if n, err := principal.Parse(s, defaultDomain); err == nil && n.Key() != principal.Fold(s) {
			keys = append(keys, n.Key())
		}
	}
	return keys
}

// MaxCount is the maximum number of events that one call returns, and the maximum size of a page.
const MaxCount = 1000

// defaultPage is the default size of a collector's latest page.
const defaultPage = 10

var (
	// ErrMaxCount means that a number of events is not 1 to 1,000.
	ErrMaxCount = errors.New("number of events is not 1 to 1000")
	// ErrRecursion means that the recursion is not self, children or all.
	ErrRecursion = errors.New("recursion is not self, children or all")
)

// Check returns ErrMaxCount or ErrRecursion if the filter is invalid.
func (f Filter) Check() error {
	if f.MaxCount < 0 || f.MaxCount > MaxCount {
		return fmt.Errorf("check event filter: %w", ErrMaxCount)
	}
	if f.Entity != nil {
		switch f.Entity.Recursion {
		case "self", "children", "all":
		default:
			return fmt.Errorf("check event filter: %w", ErrRecursion)
		}
	}
	return nil
}

// limit returns the maximum number of events that a query returns.
func (f Filter) limit() int {
	if f.MaxCount <= 0 || f.MaxCount > MaxCount {
		return MaxCount
	}
	return f.MaxCount
}

// criteria is a compiled filter. It is immutable and safe for concurrent use. The time to check one
// event does not depend on the length of the filter's lists.
type criteria struct {
	none                    bool // no event can match
	hasBegin, hasEnd        bool
	begin, end              time.Time
	chain                   int32
	categories, types, tags set
	ids, typeIDs            set // event type ids for EventEx, and for all other types
	users                   *Users
	userKeys                set
}

// set is the set of words in a list of a filter. If it is nil, the list is empty and every word
// matches.
type set map[string]struct{}

func setOf(words []string, trim string) set {
	if len(words) == 0 {
		return nil
	}
	s := make(set, len(words))
	for _, w := range words {
		s[strings.TrimPrefix(w, trim)] = struct{}{}
	}
	return s
}

// has reports whether the word matches.
func (s set) has(word string) bool {
	_, ok := s[word]
	return ok || s == nil
}

// hasType reports whether the type or one of its supertypes matches.
func (s set) hasType(typ string) bool {
	for t := typ; t != ""; t = supertypes[t] {
		if s.has(t) {
			return true
		}
	}
	return s.has("Event")
}

func newCriteria(f Filter) *criteria {
	c := &criteria{
		none:     f.Alarm || f.ScheduledTask || !f.Entity.holdsEvents(),
		hasBegin: !f.Begin.IsZero(), hasEnd: !f.End.IsZero(), begin: f.Begin, end: f.End,
		chain:      f.ChainID,
		categories: setOf(f.Categories, ""), types: setOf(f.Types, typePrefix), tags: setOf(f.Tags, ""),
		ids: setOf(f.IDs, ""), typeIDs: setOf(f.IDs, typePrefix),
		users: f.Users,
	}
	if f.Users != nil {
		c.userKeys = setOf(f.Users.Keys, "")
	}
	return c
}

// matcher checks events at one time. It caches its results by class and actor, because a log
// contains only a few kinds of events.
type matcher struct {
	*criteria
	now     int64
	classes map[unique.Handle[class]]bool // nil if results are not cached
	actors  map[unique.Handle[actor]]bool
}

// over returns a matcher for the given number of events.
func (c *criteria) over(events int, now time.Time) *matcher {
	m := &matcher{criteria: c, now: now.UnixNano()}
	if events > 16 {
		m.classes, m.actors = map[unique.Handle[class]]bool{}, map[unique.Handle[actor]]bool{}
	}
	return m
}

// holdsEvents reports whether there can be events of the entity. All events belong to the root
// folder itself, and none to a child.
func (e *Entity) holdsEvents() bool {
	return e == nil || e.ID == RootFolder && e.Recursion != "children"
}

// first returns the first n entries that match.
func (m *matcher) first(entries iter.Seq[*entry], n int) []entry {
	var found []entry
	for e := range entries {
		if len(found) == n {
			break
		}
		if m.matches(e) {
			found = append(found, *e)
		}
	}
	return found
}

func (m *matcher) matches(e *entry) bool {
	if m.none || !e.visible(m.now) || !m.inTime(e) {
		return false
	}
	if m.chain != 0 && e.chainKey() != m.chain {
		return false
	}
	ok, known := m.classes[e.class]
	if !known {
		ok = m.wantsClass(e.class.Value())
		if m.classes != nil && len(m.classes) < maxCached {
			m.classes[e.class] = ok
		}
	}
	return ok && (m.users == nil || m.wantsActor(e))
}

func (c *criteria) inTime(e *entry) bool {
	if c.hasBegin && e.time().Before(c.begin) {
		return false
	}
	return !c.hasEnd || !e.time().After(c.end)
}

// maxCached limits the memory of one query. A log may contain many names from failed logins, or
// many event type ids that a client posted.
const maxCached = 1024

func (m *matcher) wantsActor(e *entry) bool {
	ok, known := m.actors[e.actor]
	if known {
		return ok
	}
	switch a := e.actor.Value(); {
	case a.name == "":
		ok = m.users.System
	default:
		ok = m.userKeys.has(a.name) || a.origin != "" && m.userKeys.has(a.origin)
	}
	if m.actors != nil && len(m.actors) < maxCached {
		m.actors[e.actor] = ok
	}
	return ok
}

func (c *criteria) wantsClass(k class) bool {
	if !c.categories.has(category(k.typ, k.severity)) || !c.tags.has(k.tag) || !c.types.hasType(k.typ) {
		return false
	}
	if k.typ == "EventEx" || k.typ == "ExtendedEvent" {
		return c.ids.has(k.id)
	}
	return c.typeIDs.hasType(k.typ)
}
