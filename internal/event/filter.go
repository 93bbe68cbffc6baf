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

// Filter selects events: those that meet every part that is set. It is the
// API's EventFilterSpec.
type Filter struct {
	Entity *Entity
	// Begin and End are inclusive; zero: open.
	Begin, End time.Time
	Users      *Users
	// ChainID is of the events of one chain; 0: any.
	ChainID int32
	// Alarm and ScheduledTask ask for events of one. vigate has neither, so
	// each selects nothing.
	Alarm, ScheduledTask bool
	// Categories are info, warning, error, user, see Category.
	Categories []string
	// Types are names of event types, with or without the prefix vim.event.
	// A type selects its subtypes as well.
	Types []string
	// IDs are event type ids. An EventEx has the one that it carries and no
	// other; any other event has its type's and its supertypes' names, with or
	// without the prefix vim.event.
	IDs []string
	// Tags are change tags; the empty one is that of events without a tag.
	Tags []string
	// MaxCount is 1 to 1,000. 0: of a query 1,000, of a collector's page 10.
	MaxCount int
}

// Entity asks for the events of an object of the inventory.
type Entity struct {
	ID        string // such as group-d1
	Recursion string // self, children or all
}

// RootFolder is the object that every event is about.
const RootFolder = "group-d1"

// Users asks for events by who acted.
type Users struct {
	// System: also events that no user caused.
	System bool
	// Keys are the users, as UserKeys gives them. None: all users.
	Keys []string
}

// UserKeys makes what Users wants of the spellings that clients send. A bare
// name is both an extension's key and a user of the default domain. What can be
// no principal is taken as it is, as a failed login may name anybody.
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

// MaxCount is the most events that one call returns, and the largest page.
const MaxCount = 1000

// defaultPage is how many events a collector's latest page holds.
const defaultPage = 10

var (
	// ErrMaxCount: a number of events that is not 1 to 1,000.
	ErrMaxCount = errors.New("number of events is not 1 to 1000")
	// ErrRecursion: not one of self, children, all.
	ErrRecursion = errors.New("recursion is not self, children or all")
)

// Check reports what is wrong with the filter: ErrMaxCount or ErrRecursion.
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

// limit is how many events a query returns.
func (f Filter) limit() int {
	if f.MaxCount <= 0 || f.MaxCount > MaxCount {
		return MaxCount
	}
	return f.MaxCount
}

// criteria are a filter made ready for many events. They never change, so many
// may use them at the same time. How long a filter's lists are does not matter
// to the time that one event takes.
type criteria struct {
	none                    bool // no event can match
	hasBegin, hasEnd        bool
	begin, end              time.Time
	chain                   int32
	categories, types, tags set
	ids, typeIDs            set // as event type ids of an EventEx, and of all others
	users                   *Users
	userKeys                set
}

// set is the words that a list of a filter has; nil: the list is empty, so any
// word will do.
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

// has reports whether the set has the word, or is of any words.
func (s set) has(word string) bool {
	_, ok := s[word]
	return ok || s == nil
}

// hasType reports whether the set has the type or one that it derives from.
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

// matcher judges events at one time. Where many are to be judged it remembers
// what it found: few kinds of event make up a log.
type matcher struct {
	*criteria
	now     int64
	classes map[unique.Handle[class]]bool // nil: nothing is remembered
	actors  map[unique.Handle[actor]]bool
}

// over makes a matcher for so many events.
func (c *criteria) over(events int, now time.Time) *matcher {
	m := &matcher{criteria: c, now: now.UnixNano()}
	if events > 16 {
		m.classes, m.actors = map[unique.Handle[class]]bool{}, map[unique.Handle[actor]]bool{}
	}
	return m
}

// holdsEvents reports whether there are events of the entity: all are on the
// root folder itself, none on a child of anything.
func (e *Entity) holdsEvents() bool {
	return e == nil || e.ID == RootFolder && e.Recursion != "children"
}

// first returns the first n of the entries that match.
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
		if m.classes != nil && len(m.classes) < maxRemembered {
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

// maxRemembered bounds the memory of one query: a log may be full of the names
// that a stranger tried, or of the event type ids that a client posted.
const maxRemembered = 1024

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
	if m.actors != nil && len(m.actors) < maxRemembered {
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
