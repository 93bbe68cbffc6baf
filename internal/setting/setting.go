// Package setting is what is set for the server as a whole and kept: the
// options that clients may change, the service message, and the identity of
// the instance.
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

// Config of Settings.
type Config struct {
	// Base are the values where no client has set another: Defaults, as flags
	// and the configuration file change them.
	Base Values
	// Events posts what was changed.
	Events *event.Log
	// CheckLocale says whether a default locale can be had. nil: any.
	CheckLocale func(string) error
	Random      io.Reader    // nil: crypto/rand
	Logger      *slog.Logger // nil: slog.Default
}

// Settings is the view of store.Setting. All methods may be called at the same
// time, those that change something only after Attach.
type Settings struct {
	base        Values
	options     []option // as clients may set them here
	events      *event.Log
	checkLocale func(string) error
	random      io.Reader
	logger      *slog.Logger
	mirror      *store.Mirror

	state  atomic.Pointer[state]
	staged *state // between Reset and Whole; only the mirror's goroutine uses it

	mu      sync.Mutex    // guards changed
	changed chan struct{} // closed at the next change; nil while nobody waits
}

// state is what is set. It never changes once it is published.
type state struct {
	values   Values
	message  string
	instance string
	damage   error // why options are not known for certain
}

// The records, each JSON.
const (
	idOptions  = "options"  // optionsRecord
	idMessage  = "message"  // messageRecord
	idInstance = "instance" // instanceRecord
)

// optionsRecord holds what clients have set, by name: as text without units.
// Names that this version does not know are kept.
type optionsRecord struct {
	Options map[string]string `json:"options"`
}

type messageRecord struct {
	Text string `json:"text"`
}

type instanceRecord struct {
	UUID string `json:"uuid"`
}

// New makes settings with the base values in force. It fails with an
// *InvalidError where a base value is out of bounds.
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
			return nil, fmt.Errorf("take base values: %w", err)
		}
		if o.strict != neither {
			o.clients = o.clients.reaching(o.number(&c.Base))
		}
		s.options = append(s.options, o)
	}
	s.state.Store(&state{values: s.base})
	return s, nil
}

// Attach gives the settings the mirror that feeds them, to commit through.
// Call it once, before anything is changed.
func (s *Settings) Attach(m *store.Mirror) { s.mirror = m }

// set is option.set with the check that needs another package's knowledge.
func (s *Settings) set(o *option, v *Values, value any) error {
	if err := o.set(v, value); err != nil {
		return err
	}
	if o.name == DefaultLocale && s.checkLocale != nil {
		if err := s.checkLocale(v.DefaultLocale); err != nil {
			return o.invalid("not a locale that is served")
		}
	}
	return nil
}

// Values are the options in force. It costs one load: read it anew at each use.
func (s *Settings) Values() *Values { return &s.state.Load().values }

// Message is the service message; empty: none.
func (s *Settings) Message() string { return s.state.Load().message }

// Instance is the UUID of the instance, the same for its whole life and on all
// its nodes. It is empty before EnsureInstance.
func (s *Settings) Instance() string { return s.state.Load().instance }

// Changed returns a channel that is closed at the next change of an option or
// the message. Take it before reading, so that no change falls between.
func (s *Settings) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
}

// Query returns the options that the name means: all where it is empty, else
// the one of that name, or those below it where it ends in a dot. *UnknownError
// where there are none.
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

// Definitions describe all options.
func (s *Settings) Definitions() []Definition {
	out := make([]Definition, len(s.options))
	for i := range s.options {
		out[i] = s.options[i].definition(&s.base)
	}
	return out
}

// Kinds is part of store.View.
func (s *Settings) Kinds() []store.Kind { return []store.Kind{store.Setting} }

// Reset is part of store.View. Readers see the old state until Whole.
func (s *Settings) Reset() { s.staged = &state{values: s.base} }

// Put is part of store.View. Of a record that can't be read, the message and the
// identity stay what they were; for options see strictest.
func (s *Settings) Put(r store.Record) {
	next := s.next()
	if err := s.apply(next, r.ID, r.Value); err != nil {
		s.logger.Error("setting can't be read", "record", r.ID, "err", err)
	}
	s.publish(next)
}

// Damaged returns why options are not known for certain, nil if they are. The
// strictest values that are known are then in force, until Update is called.
func (s *Settings) Damaged() error { return s.state.Load().damage }

// Delete is part of store.View.
func (s *Settings) Delete(_ store.Kind, id string) {
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

// Whole is part of store.View.
func (s *Settings) Whole() {
	if next := s.staged; next != nil {
		s.staged = nil
		s.publish(next)
	}
}

// next is the state to change: a copy, or the one that is not published yet.
func (s *Settings) next() *state {
	if s.staged != nil {
		return s.staged
	}
	next := *s.state.Load()
	return &next
}

func (s *Settings) publish(next *state) {
	if s.staged != nil {
		return // Whole does
	}
	s.state.Store(next)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// apply changes the state as the record says.
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
	return err // other ids are a newer version's
}
