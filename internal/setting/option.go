package setting

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Option is the name of an option with its value, an int32 or a string. A time is a number in the
// option's unit. If it is no whole number of units, it is a string such as "90s".
type Option struct {
	Name  string
	Value any
}

// Definition describes the allowed values of an option.
type Definition struct {
	Name, Label, Summary string
	// Number is true if Min, Max and Default are numbers, in the option's unit for times. Otherwise
	// the option is a text of Min to Max bytes.
	Number   bool
	Min, Max int32
	// Default is the value in force if no client has set another, as an int32 or a string.
	Default any
}

// UnknownError means that there is no option with the name, or no option below it.
type UnknownError struct{ Name string }

func (e *UnknownError) Error() string {
	return "unknown option " + strconv.Quote(e.Name[:min(len(e.Name), maxText)])
}

// InvalidError means that an option or the message can't have a value. Reason can be shown to the
// client and does not repeat the value.
type InvalidError struct{ Name, Reason string }

func (e *InvalidError) Error() string { return "invalid value: " + e.Name + " " + e.Reason }

func (o *option) invalid(reason string) error { return &InvalidError{o.name, reason} }

func (s *Settings) find(name string) *option {
	i, ok := slices.BinarySearchFunc(s.options, name, func(o option, name string) int {
		return strings.Compare(o.name, name)
	})
	if !ok {
		return nil
	}
	return &s.options[i]
}

// selected returns the options that a name selects, as in QueryOptions: all options, one option, or
// the options below a prefix that ends in a dot.
func (s *Settings) selected(name string) ([]*option, error) {
	var out []*option
	for i := range s.options {
		o := &s.options[i]
		if name == "" || o.name == name || strings.HasSuffix(name, ".") && strings.HasPrefix(o.name, name) {
			out = append(out, o)
		}
	}
	if len(out) == 0 {
		return nil, &UnknownError{name}
	}
	return out, nil
}

// value returns the option's value in the form that clients see.
func (o *option) value(v *Values) any {
	switch p := o.at(v).(type) {
	case *time.Duration:
		if *p%o.unit == 0 {
			return int32(*p / o.unit)
		}
		return p.String()
	case *int:
		return int32(*p)
	default:
		return *p.(*string)
	}
}

// text returns the option's value in the form in which it is stored. Times have no unit there, so
// that a change of the option's unit does not change the value.
func (o *option) text(v *Values) string {
	switch p := o.at(v).(type) {
	case *time.Duration:
		return p.String()
	case *int:
		return strconv.Itoa(*p)
	default:
		return *p.(*string)
	}
}

// set sets the option to a value that a client sent or that is stored: an integer of any size, or a
// string. The value must be within the bounds of clients.
func (o *option) set(v *Values, value any) error {
	r := reflect.ValueOf(value)
	switch {
	case value == nil:
		return o.invalid("has no value")
	case r.CanInt():
		return o.setNumber(v, r.Int())
	case r.CanUint():
		if r.Uint() > math.MaxInt64 {
			return o.outOfBounds()
		}
		return o.setNumber(v, int64(r.Uint()))
	case r.Kind() == reflect.String:
		return o.setText(v, r.String())
	}
	return o.invalid("is neither a whole number nor a string")
}

func (o *option) setNumber(v *Values, n int64) error {
	switch p := o.at(v).(type) {
	case *time.Duration:
		if n < 0 || n > math.MaxInt64/int64(o.unit) {
			return o.outOfBounds()
		}
		return o.setDuration(v, time.Duration(n)*o.unit)
	case *int:
		if !o.clients.has(n) {
			return o.outOfBounds()
		}
		*p = int(n)
		return nil
	}
	return o.invalid("is not a string")
}

func (o *option) setDuration(v *Values, d time.Duration) error {
	if !o.clients.has(int64(d)) {
		return o.outOfBounds()
	}
	*o.at(v).(*time.Duration) = d
	return nil
}

// setText sets the option to a stored value, or to a text from a client that sends all values as
// strings.
func (o *option) setText(v *Values, s string) error {
	p, isText := o.at(v).(*string)
	if isText {
		if !o.clients.has(int64(len(s))) {
			return o.outOfBounds()
		}
		if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) || strings.TrimSpace(s) != s {
			return o.invalid("has control characters, or white space at its ends")
		}
		*p = s
		return nil
	}
	if len(s) > 32 {
		return o.outOfBounds()
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return o.setNumber(v, n)
	}
	if o.unit == 0 {
		return o.outOfBounds()
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return o.outOfBounds()
	}
	return o.setDuration(v, d)
}

// outOfBounds returns an error with the values that clients may set.
func (o *option) outOfBounds() error {
	d := o.definition(new(Values))
	span := fmt.Sprintf("%d to %d", d.Min, d.Max)
	switch {
	case !d.Number:
		return o.invalid("is not a text of " + span + " bytes")
	case o.unit == 0:
		return o.invalid("is not a whole number from " + span)
	case o.unit == time.Minute:
		return o.invalid("is not a time of " + span + ` minutes: a number of minutes, or a text such as "90s"`)
	}
	return o.invalid("is not a time of " + span + ` seconds: a number of seconds, or a text such as "90s"`)
}

func (o *option) definition(base *Values) Definition {
	d := Definition{Name: o.name, Label: o.label, Summary: o.summary, Default: o.value(base)}
	unit := int64(1)
	switch o.at(base).(type) {
	case *time.Duration:
		d.Number, unit = true, int64(o.unit)
	case *int:
		d.Number = true
	}
	d.Min, d.Max = int32((o.clients.min+unit-1)/unit), int32(o.clients.max/unit)
	return d
}
