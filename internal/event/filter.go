package event

import (
	"errors"
	"fmt"
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
		keys = append(keys, strings.ToLower(s))
		if n, err := principal.Parse(s, defaultDomain); err == nil && n.Key() != strings.ToLower(s) {
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

// matcher is a filter made ready for many events.
type matcher struct {
	f        Filter
	now      int64
	none     bool // no event can match
	hasBegin bool
	hasEnd   bool
	users    map[string]bool

	// Few kinds of event make up a log: each is judged once.
	classes map[unique.Handle[class]]bool
	actors  map[unique.Handle[actor]]bool
}

func newMatcher(f Filter, now time.Time) *matcher {
	m := &matcher{
		f: f, now: now.UnixNano(),
		none:     f.Alarm || f.ScheduledTask || !f.Entity.holdsEvents(),
		hasBegin: !f.Begin.IsZero(), hasEnd: !f.End.IsZero(),
		classes: map[unique.Handle[class]]bool{},
		actors:  map[unique.Handle[actor]]bool{},
	}
	if f.Users != nil {
		m.users = make(map[string]bool, len(f.Users.Keys))
		for _, k := range f.Users.Keys {
			m.users[k] = true
		}
	}
	return m
}

// holdsEvents reports whether there are events of the entity: all are on the
// root folder itself, none on a child of anything.
func (e *Entity) holdsEvents() bool {
	return e == nil || e.ID == RootFolder && e.Recursion != "children"
}

func (m *matcher) matches(e *entry) bool {
	if m.none || e.expired(m.now) || !m.inTime(e) {
		return false
	}
	if m.f.ChainID != 0 && e.chain != m.f.ChainID {
		return false
	}
	ok, known := m.classes[e.class]
	if !known {
		ok = m.wantsClass(e.class.Value())
		m.classes[e.class] = ok
	}
	return ok && (m.f.Users == nil || m.wantsActor(e))
}

func (m *matcher) inTime(e *entry) bool {
	if m.hasBegin && e.time().Before(m.f.Begin) {
		return false
	}
	return !m.hasEnd || !e.time().After(m.f.End)
}

// maxActors bounds the memory of one query: a log may be full of the names
// that a stranger tried.
const maxActors = 1024

func (m *matcher) wantsActor(e *entry) bool {
	ok, known := m.actors[e.actor]
	if known {
		return ok
	}
	switch a := e.actor.Value(); {
	case a.name == "":
		ok = m.f.Users.System
	case len(m.f.Users.Keys) == 0:
		ok = true
	default:
		ok = m.users[a.name] || a.origin != "" && m.users[a.origin]
	}
	if len(m.actors) < maxActors {
		m.actors[e.actor] = ok
	}
	return ok
}

func (m *matcher) wantsClass(c class) bool {
	f := m.f
	return anyOf(f.Categories, func(s string) bool { return s == category(c.typ, c.severity) }) &&
		anyOf(f.Tags, func(s string) bool { return s == c.tag }) &&
		anyOf(f.Types, func(s string) bool { return isA(c.typ, s) }) &&
		anyOf(f.IDs, func(s string) bool {
			if c.typ == "EventEx" || c.typ == "ExtendedEvent" {
				return s == c.id
			}
			return isA(c.typ, s)
		})
}

// anyOf reports whether want is empty or has what is asked for.
func anyOf(want []string, ok func(string) bool) bool {
	for _, s := range want {
		if ok(s) {
			return true
		}
	}
	return len(want) == 0
}
