// Package setting holds the settings of the server as a whole: the options that clients can change
// at run time, the service message, and the identity of the instance.
//
// [Settings] is a view of the records of the kind store.Setting, which are shared by all nodes. The
// configuration determines the base values of the options; a value that a client has set overrides
// the base until it is removed. Reading an option ([Settings.Values]) costs one atomic load.
// Changes ([Settings.Update], [Settings.SetMessage]) are committed to the store and post an event.
// The settings that only an operator can change are in package config.
package setting

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/store"
)

// Config configures Settings.
type Config struct {
	// Base holds the values that are in force if no client has set another: the Defaults, changed
	// by flags and the configuration file.
	Base Values
	// Events receives the events about changes.
	Events *event.Log
	// CheckLocale returns an error if a locale can't be the default locale. If nil, every locale is
	// allowed.
	CheckLocale func(string) error
	// Random is the source of random bytes. If nil, crypto/rand is used.
	Random io.Reader
	// Logger is the logger. If nil, slog.Default is used.
	Logger *slog.Logger
}

// Settings is the view of store.Setting. All methods are safe for concurrent use. Methods that
// change something must not be called before Attach.
type Settings struct {
	base        Values
	options     []option // with the bounds that clients have on this server
	events      *event.Log
	checkLocale func(string) error
	random      io.Reader
	logger      *slog.Logger
	mirror      *store.Mirror

	state  atomic.Pointer[state]
	staged *state // the new state between Reset and Whole; used only by the mirror's goroutine

	mu      sync.Mutex    // guards changed
	changed chan struct{} // closed at the next change; nil if no reader waits for it
}

// state is the current state of the settings. It does not change after it was published.
type state struct {
	values   Values
	message  string
	instance string
	damage   error // why the options could not be read; nil if they could
}

// Ids of the records. Each record is JSON.
const (
	idOptions  = "options"  // optionsRecord
	idMessage  = "message"  // messageRecord
	idInstance = "instance" // instanceRecord
)

// optionsRecord holds the options that clients have set, by name, as texts without units. Unknown
// names are kept, because a newer version may know them.
type optionsRecord struct {
	Options map[string]string `json:"options"`
}

type messageRecord struct {
	Text string `json:"text"`
}

type instanceRecord struct {
	UUID string `json:"uuid"`
}

// New returns settings with the base values in force. The error is an *InvalidError if a base value
// is not allowed.
func New(c Config) (*Settings, error) {
	s := &Settings{
		base:        c.Base,
		events:      c.Events,
		checkLocale: c.CheckLocale,
		random:      c.Random,
		logger:      cmp.Or(c.Logger, slog.Default()),
	}
	if s.random == nil {
		s.random = rand.Reader
	}
	check := c.Base
	for _, o := range options {
		configured := o
		configured.clients = o.base
		if err := s.set(&configured, &check, o.text(&c.Base)); err != nil {
			return nil, fmt.Errorf("set base values: %w", err)
		}
		if o.strict != neither {
			o.clients = o.clients.reaching(o.number(&c.Base))
		}
		s.options = append(s.options, o)
	}
	s.state.Store(&state{values: s.base})
	return s, nil
}

// Attach sets the mirror through which changes are committed. It must be called once, before the
// first change.
func (s *Settings) Attach(m *store.Mirror) { s.mirror = m }

// set does the same as option.set. It also checks a locale, which needs another package's
// knowledge.
func (s *Settings) set(o *option, v *Values, value any) error {
	if err := o.set(v, value); err != nil {
		return err
	}
	if o.name == DefaultLocale && s.checkLocale != nil {
		if err := s.checkLocale(v.DefaultLocale); err != nil {
			return o.invalid("is not a supported locale")
		}
	}
	return nil
}

// Values returns the options in force. It costs one atomic load, so callers should call it at each
// use.
func (s *Settings) Values() *Values { return &s.state.Load().values }

// sharing is how many users it takes to use up all sessions if clients have set the limits.
const sharing = 10

// PerPrincipal returns the maximum number of live sessions of one principal. If clients have set
// the limits, it is at most a tenth of all sessions. Otherwise a client that may set options could
// lower the number of all sessions and use all of them itself, so that nobody else could log in.
// The operator may set any limits in the configuration.
func (s *Settings) PerPrincipal() int {
	v := s.Values()
	most := max(1, v.MaxSessions/sharing)
	if v.MaxSessions >= s.base.MaxSessions {
		most = max(most, s.base.MaxPerPrincipal)
	}
	return min(v.MaxPerPrincipal, most)
}

// Message returns the service message, or "" if there is none.
func (s *Settings) Message() string { return s.state.Load().message }

// Instance returns the UUID of the instance. It is the same on all nodes and never changes. It is
// empty before EnsureInstance.
func (s *Settings) Instance() string { return s.state.Load().instance }

// Changed returns a channel that is closed at the next change of an option or of the message. To
// miss no change, callers must call it before they read.
func (s *Settings) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
}

// Query returns the options that a name selects: all options if it is empty, the options below it
// if it ends in a dot, and otherwise the option with the name. The error is an *UnknownError if
// there are none.
func (s *Settings) Query(name string) ([]Option, error) {
	found, err := s.selected(name)
	if err != nil {
		return nil, err
	}
	v := s.Values()
	out := make([]Option, len(found))
	for i, o := range found {
		out[i] = Option{o.name, o.value(v)}
	}
	return out, nil
}

// Definitions returns the definitions of all options.
func (s *Settings) Definitions() []Definition {
	out := make([]Definition, len(s.options))
	for i := range s.options {
		out[i] = s.options[i].definition(&s.base)
	}
	return out
}

// View is what the mirror feeds the settings by.
func (s *Settings) View() store.View {
	return store.NewView([]store.Kind{store.Setting}, s.reset, s.put, s.delete, s.whole)
}

// reset is the view's Reset. Readers see the old state until Whole is called.
func (s *Settings) reset() { s.staged = &state{values: s.base} }

// put is the view's Put. If a record can't be read, the message and the identity stay
// unchanged; for options see strictest.
func (s *Settings) put(r store.Record) {
	next := s.next()
	if err := s.apply(next, r.ID, r.Value); err != nil {
		s.logger.Error("setting can't be read", "record", r.ID, "err", err)
	}
	s.publish(next)
}

// Damaged returns an error if the record of options can't be read. The strictest known values are
// then in force until Update is called.
func (s *Settings) Damaged() error { return s.state.Load().damage }

// delete is the view's Delete.
func (s *Settings) delete(_ store.Kind, id string) {
	next := s.next()
	switch id {
	case idOptions:
		next.values, next.damage = s.base, nil
	case idMessage:
		next.message = ""
	case idInstance:
		next.instance = ""
	}
	s.publish(next)
}

// whole is the view's Whole.
func (s *Settings) whole() {
	if next := s.staged; next != nil {
		s.staged = nil
		s.publish(next)
	}
}

// next returns the state to change: the state that is not published yet, or a copy of the current
// one.
func (s *Settings) next() *state {
	if s.staged != nil {
		return s.staged
	}
	next := *s.state.Load()
	return &next
}

func (s *Settings) publish(next *state) {
	if s.staged != nil {
		return // the method Whole publishes the state
	}
	s.state.Store(next)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// apply changes the state according to the record.
func (s *Settings) apply(next *state, id string, value []byte) (err error) {
	switch id {
	case idOptions:
		var set map[string]string
		if set, err = decodeOptions(value); err != nil {
			next.values = s.strictest(value)
		} else {
			next.values, err = s.overridden(set)
		}
		if err != nil {
			err = damaged(id, err)
		}
		next.damage = err
	case idMessage:
		text := ""
		if text, err = decodeMessage(value); err == nil {
			next.message = text
		}
	case idInstance:
		text := ""
		if text, err = decodeInstance(value); err == nil {
			next.instance = text
		}
	}
	return err // other ids belong to a newer version
}
