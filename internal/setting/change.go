package setting

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/store"
)

// attempts is the maximum number of times that a change is tried. It is tried again if another
// process has changed the same record in the meantime.
const attempts = 16

// change commits a change of a record. plan receives the record's current value, or nil if there is
// none. It returns the new value, or nil for no change, and the events to post. If the record was
// changed in the meantime, plan is called again.
func (s *Settings) change(ctx context.Context, id string, plan func(old []byte) ([]byte, []event.Event, error)) error {
	var err error
	for range attempts {
		var old store.Record
		old, err = s.mirror.Get(ctx, store.Setting, id)
		absent := errors.Is(err, store.ErrNotFound)
		if err != nil && !absent {
			return err
		}
		value, posts, perr := plan(old.Value)
		if perr != nil || value == nil {
			return perr
		}
		changes := []store.Change{store.Update(store.Setting, id, old.Revision, value, time.Time{})}
		if absent {
			changes[0] = store.Create(store.Setting, id, value, time.Time{})
		}
		for _, e := range posts {
			changes = append(changes, s.events.Change(e))
		}
		if _, err = s.mirror.Commit(ctx, changes...); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return err
}

// maxMessage is the maximum length of the service message, in bytes.
const maxMessage = 16 << 10

// SetMessage sets the service message and posts a GlobalMessageChangedEvent. A text of white space
// removes the message. The error is an *InvalidError if the text is longer than 16 KiB, is not
// UTF-8, or has control characters other than line feed and carriage return.
func (s *Settings) SetMessage(ctx context.Context, by event.Actor, text string) error {
	if len(text) > maxMessage {
		return &InvalidError{"message", "is longer than 16 KiB"}
	}
	if !utf8.ValidString(text) {
		return &InvalidError{"message", "is not UTF-8"}
	}
	if strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\r' }) {
		return &InvalidError{"message", "has control characters"}
	}
	if strings.TrimSpace(text) == "" {
		text = ""
	}
	err := s.change(ctx, idMessage, func(old []byte) ([]byte, []event.Event, error) {
		prev := ""
		var err error
		if old != nil {
			// A message that can't be read is replaced, because no client has seen it.
			prev, err = decodeMessage(old)
		}
		if prev == text && err == nil {
			return nil, nil, nil
		}
		post := event.Event{Type: "GlobalMessageChangedEvent", User: by.User, Origin: by.Origin, Message: text,
			PrevMessage: prev}
		value, err := json.Marshal(messageRecord{text})
		return value, []event.Event{post}, err
	})
	if err != nil {
		return fmt.Errorf("set service message: %w", err)
	}
	return nil
}

// Update sets all of the options or none of them. For each option that changes, it posts a
// vigate.setting.updated event. An empty string removes the value that clients have set, so that
// the base value is in force again. If an option is set twice, the last value is used.
//
// If the stored record can't be read, Update replaces it by the options in force and the new ones,
// even if set is empty. The error is an *UnknownError or an *InvalidError.
func (s *Settings) Update(ctx context.Context, by event.Actor, set []Option) error {
	trial := s.base
	for _, c := range set {
		o := s.find(c.Name)
		if o == nil {
			return &UnknownError{c.Name}
		}
		if c.Value == "" {
			continue
		}
		if err := s.set(o, &trial, c.Value); err != nil {
			return err
		}
	}
	err := s.change(ctx, idOptions, func(old []byte) ([]byte, []event.Event, error) {
		var r optionsRecord
		var damage error
		if old != nil {
			if r.Options, damage = decodeOptions(old); damage == nil {
				_, damage = s.overridden(r.Options)
			}
		}
		if damage != nil {
			s.logger.Warn("the damaged record of options is replaced", "err", damage)
			r.Options = s.mended(old)
		}
		posts := s.override(&r, by, set)
		if posts == nil && damage == nil {
			return nil, nil, nil
		}
		value, err := json.Marshal(r)
		return value, posts, err
	})
	if err != nil {
		return fmt.Errorf("update options: %w", err)
	}
	return nil
}

// override writes the checked values into the record. It returns the events to post, or none if the
// record does not change.
func (s *Settings) override(r *optionsRecord, by event.Actor, set []Option) []event.Event {
	was, _ := s.overridden(r.Options) // Update has already handled values that can't be read
	stored := maps.Clone(r.Options)
	if r.Options == nil {
		r.Options = map[string]string{}
	}
	v := was
	for _, c := range set {
		o := s.find(c.Name)
		if c.Value == "" {
			delete(r.Options, o.name)
			_ = o.set(&v, o.text(&s.base)) // New has already checked the base
			continue
		}
		_ = o.set(&v, c.Value) // Update has already checked the value
		r.Options[o.name] = o.text(&v)
	}
	var posts []event.Event
	for i := range s.options {
		o := &s.options[i]
		old, had := stored[o.name]
		now, has := r.Options[o.name]
		if old == now && had == has {
			continue
		}
		posts = append(posts, event.Event{
			Type: "EventEx", ID: "vigate.setting.updated", User: by.User, Origin: by.Origin, Subject: o.name,
			Args: map[string]string{"option": o.name, "value": o.text(&v), "previous": o.text(&was)},
		})
	}
	return posts
}

// EnsureInstance returns the UUID of the instance. It generates the UUID at the first start. If
// several nodes start at the same time, all of them get the same UUID.
func (s *Settings) EnsureInstance(ctx context.Context) (string, error) {
	err := s.change(ctx, idInstance, func(old []byte) ([]byte, []event.Event, error) {
		if old != nil {
			// A damaged identity is not replaced, because clients and records of other systems may
			// refer to it.
			if _, err := decodeInstance(old); err != nil {
				return nil, nil, damaged(idInstance, err)
			}
			return nil, nil, nil
		}
		id, err := s.uuid()
		if err != nil {
			return nil, nil, err
		}
		value, err := json.Marshal(instanceRecord{id})
		return value, nil, err
	})
	if err != nil {
		return "", fmt.Errorf("ensure instance: %w", err)
	}
	if err := s.mirror.Sync(ctx); err != nil {
		return "", fmt.Errorf("ensure instance: %w", err)
	}
	return s.Instance(), nil
}

// uuid returns a random UUID (RFC 9562, version 4).
func (s *Settings) uuid() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(s.random, b[:]); err != nil {
		return "", fmt.Errorf("read random bytes: %w", err)
	}
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}
