package setting

import (
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Option is one option and its value: an int32 or a string. A time is a whole
// number of the option's unit, or, where it is no whole number, a string such
// as "90s".
type Option struct {
	Name  string
	Value any
}

// Definition says what an option may be.
type Definition struct {
	Name, Label, Summary string
	// Number: Min, Max and Default are numbers, in the option's unit where it
	// is a time. Otherwise it is a text of Min to Max bytes.
	Number   bool
	Min, Max int32
	// Default is an int32 or a string: the value in force where no client has
	// set another.
	Default any
}

// UnknownError: there is no option of that name, or none below it.
type UnknownError struct{ Name string }

func (e *UnknownError) Error() string {
	return "unknown option " + strconv.Quote(e.Name[:min(len(e.Name), maxText)])
}

// InvalidError: a value that the setting can't have. Reason is fit for the
// client and does not repeat the value.
type InvalidError struct{ Name, Reason string }

func (e *InvalidError) Error() string { return "invalid value of " + e.Name + ": " + e.Reason }

func (o *option) invalid(reason string) error { return &InvalidError{o.name, reason} }

func (s *Settings) find(name string) *option {
	i, ok := slices.BinarySearchFunc(s.options, name, func(o option, name string) int { return strings.Compare(o.name, name) })
	if !ok {
		return nil
	}
	return &s.options[i]
}

// selected returns the options that QueryOptions means by the name: all, one,
// or those below a prefix that ends in a dot.
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

// value is the option's value as clients see it.
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

// text is the option's value as it is stored: without a unit that could change.
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

// set gives the option the value that a client sent, or that is stored: a whole
// number of any size of integer, or a string. It must be what clients may set.
func (o *option) set(v *Values, value any) error {
	r := reflect.ValueOf(value)
	switch {
	case value == nil:
		return o.invalid("no value")
	case r.CanInt():
		return o.setNumber(v, r.Int())
	case r.CanUint():
		if r.Uint() > math.MaxInt64 {
			return o.invalid("out of range")
		}
		return o.setNumber(v, int64(r.Uint()))
	case r.Kind() == reflect.String:
		return o.setText(v, r.String())
	}
	return o.invalid("neither a whole number nor a string")
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
	return o.invalid("not a string")
}

func (o *option) setDuration(v *Values, d time.Duration) error {
	if !o.clients.has(int64(d)) {
		return o.outOfBounds()
	}
	*o.at(v).(*time.Duration) = d
	return nil
}

// setText takes what is stored, and what clients that send all as strings send.
func (o *option) setText(v *Values, s string) error {
	p, isText := o.at(v).(*string)
	if isText {
		if !o.clients.has(int64(len(s))) {
			return o.outOfBounds()
		}
		if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) || strings.TrimSpace(s) != s {
			return o.invalid("control characters, or white space around it")
		}
		*p = s
		return nil
	}
	if len(s) > 32 {
		return o.invalid("not a number")
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return o.setNumber(v, n)
	}
	if o.unit == 0 {
		return o.invalid("not a whole number")
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return o.invalid(`neither a whole number nor a time such as "90s"`)
	}
	return o.setDuration(v, d)
}

// outOfBounds says what clients may set.
func (o *option) outOfBounds() error {
	b, whole := o.clients, func(n int64) string { return strconv.FormatInt(n, 10) }
	switch o.at(new(Values)).(type) {
	case *time.Duration:
		return o.invalid("not from " + time.Duration(b.min).String() + " to " + time.Duration(b.max).String())
	case *int:
		return o.invalid("not from " + whole(b.min) + " to " + whole(b.max))
	}
	return o.invalid("not " + whole(b.min) + " to " + whole(b.max) + " bytes")
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
