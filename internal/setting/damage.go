package setting

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/vigate/vigate/internal/store"
)

// A damaged record must not silently weaken a limit. If the options can't be read, the strictest
// known value of each option is in force. Damaged then returns an error, and the next Update
// replaces the record.

var (
	errNoOptions  = errors.New("it has no options")
	errNoText     = errors.New("it has no text")
	errNoInstance = errors.New("it is not an identity")
)

func decodeOptions(value []byte) (map[string]string, error) {
	var r optionsRecord
	if err := json.Unmarshal(value, &r); err != nil {
		return nil, err
	}
	if r.Options == nil {
		return nil, errNoOptions
	}
	return r.Options, nil
}

func decodeMessage(value []byte) (string, error) {
	var r struct {
		Text *string `json:"text"`
	}
	if err := json.Unmarshal(value, &r); err != nil {
		return "", err
	}
	if r.Text == nil {
		return "", errNoText
	}
	return *r.Text, nil
}

func decodeInstance(value []byte) (string, error) {
	var r instanceRecord
	if err := json.Unmarshal(value, &r); err != nil {
		return "", err
	}
	if _, err := uuid.Parse(r.UUID); err != nil {
		return "", errNoInstance
	}
	return r.UUID, nil
}

func damaged(id string, cause error) error {
	return &store.DamagedError{Where: "setting " + id, Cause: cause}
}

// readable returns the options in a damaged record that are complete, up to the point where the
// record can't be read any more.
func readable(value []byte) map[string]string {
	found := map[string]string{}
	d := json.NewDecoder(bytes.NewReader(value))
	depth, name, options := 0, "", false
	for {
		token, err := d.Token()
		if err != nil {
			return found
		}
		switch t := token.(type) {
		case json.Delim:
			if t == '{' || t == '[' {
				options = options || depth == 1 && name == "options"
				depth++
			} else if depth--; depth < 2 {
				options = false
			}
			name = ""
		case string:
			if !options || depth != 2 || name == "" {
				name = t
				continue
			}
			found[name], name = t, ""
		default:
			name = ""
		}
	}
}

// number returns the value of an option that is a number or a time.
func (o *option) number(v *Values) int64 {
	switch p := o.at(v).(type) {
	case *time.Duration:
		return int64(*p)
	case *int:
		return int64(*p)
	}
	return 0
}

// copy sets the option in v to its value in from.
func (o *option) copy(v, from *Values) {
	switch p := o.at(v).(type) {
	case *time.Duration:
		*p = *o.at(from).(*time.Duration)
	case *int:
		*p = *o.at(from).(*int)
	case *string:
		*p = *o.at(from).(*string)
	}
}

// tighten sets the option in v to its value in by if that value is stricter.
func (o *option) tighten(v, by *Values) {
	a, b := o.number(v), o.number(by)
	if o.strict == less && b < a || o.strict == more && b > a {
		o.copy(v, by)
	}
}

// nearest returns the allowed value that is nearest to a number or time that is out of bounds. It
// returns false if the text is neither a number nor a time.
func (o *option) nearest(text string) (Values, bool) {
	var v Values
	n, err := strconv.ParseInt(text, 10, 64)
	switch p := o.at(&v).(type) {
	case *time.Duration:
		d := time.Duration(min(max(n, 0), o.base.max/int64(o.unit)+1)) * o.unit
		if err != nil {
			if d, err = time.ParseDuration(text); err != nil {
				return v, false
			}
		}
		*p = time.Duration(o.base.nearest(int64(d)))
	case *int:
		if err != nil {
			return v, false
		}
		*p = int(o.base.nearest(n))
	default:
		return v, false
	}
	return v, true
}

// overridden returns the base with the values that clients have set. A stored number may be out of
// the bounds of clients, because other versions had other bounds. It is then in force only as far
// as it is stricter than the base. The error names the values that can't be read. For those
// options, the stricter one of the base value and the value in force is used.
func (s *Settings) overridden(set map[string]string) (Values, error) {
	v := s.base
	var bad []error
	for _, name := range slices.Sorted(maps.Keys(set)) {
		o := s.find(name)
		if o == nil {
			s.logger.Warn("stored option is unknown and ignored", "option", name)
			continue
		}
		err := s.set(o, &v, set[name])
		if err == nil {
			continue
		}
		if near, ok := o.nearest(set[name]); ok {
			o.tighten(&v, &near)
		} else if o.strict != neither {
			o.tighten(&v, s.Values())
			bad = append(bad, err)
		}
		s.logger.Warn("stored option is out of bounds or invalid", "option", name, "err", err, "inForce", o.text(&v))
	}
	return v, errors.Join(bad...)
}

// strictest returns the values that are in force while the record of options can't be read: for
// each option the strictest one of the base value, the value that was in force, and the value in
// the readable part of the record.
func (s *Settings) strictest(value []byte) Values {
	v := *s.Values()
	found := readable(value)
	read, _ := s.overridden(found)
	for i := range s.options {
		o := &s.options[i]
		o.tighten(&v, &s.base)
		if _, ok := found[o.name]; !ok {
			continue
		}
		if o.strict == neither {
			o.copy(&v, &read)
			continue
		}
		o.tighten(&v, &read)
	}
	return v
}

// mended returns the options that replace a record that can't be read: the readable ones, and those
// in force that differ from the base. So the replacement weakens no limit.
func (s *Settings) mended(value []byte) map[string]string {
	set, v := readable(value), s.Values()
	for i := range s.options {
		o := &s.options[i]
		if o.text(v) != o.text(&s.base) || set[o.name] != "" {
			set[o.name] = o.text(v)
		}
	}
	return set
}
