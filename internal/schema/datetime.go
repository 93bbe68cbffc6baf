package schema

import (
	"errors"
	"time"
)

// Errors of ParseXSD and ParseRFC3339. They say what is expected.
var (
	ErrDateTime = errors.New("a dateTime")
	ErrYear     = errors.New("a dateTime of the years 1 to 9999")
)

// ParseXSD parses a dateTime in any form of XML Schema 1.0. A time without a zone is in UTC, as the
// server's times are. Fractions below a nanosecond are cut off.
func ParseXSD(s string) (time.Time, error) { return parseDateTime(s, true) }

// ParseRFC3339 parses a date-time in any form of RFC 3339. A leap second becomes the second after
// it. Fractions below a nanosecond are cut off.
func ParseRFC3339(s string) (time.Time, error) { return parseDateTime(s, false) }

// AppendDateTime appends a time in UTC, in a form that both standards allow. Like vCenter, it
// writes at most six digits of fraction, because Python can't parse more. ok is false if the time
// has no such form.
func AppendDateTime(b []byte, t time.Time) (_ []byte, ok bool) {
	t = t.UTC()
	if y := t.Year(); y < 1 || y > 9999 {
		return b, false
	}
	if fine := t.Nanosecond() % int(time.Microsecond); fine != 0 {
		t = t.Add(-time.Duration(fine))
	}
	return t.AppendFormat(b, time.RFC3339Nano), true
}

// dateTime is a text that is being parsed, and the first error.
type dateTime struct {
	rest string
	bad  bool
}

// parseDateTime parses a dateTime. The forms of XML Schema and RFC 3339 differ: XML Schema has the
// hour 24, and the zone is optional. RFC 3339 has leap seconds, lower-case letters, and zones of up
// to a day.
func parseDateTime(s string, xsd bool) (time.Time, error) {
	d := dateTime{rest: s}
	year, known := d.year()
	if !known {
		return time.Time{}, ErrYear
	}
	d.one("-", "")
	month := d.two(1, 12)
	d.one("-", "")
	day := d.two(1, 31)
	d.one("T", lower(xsd, "t"))
	hour := d.two(0, 24)
	d.one(":", "")
	minute := d.two(0, 59)
	d.one(":", "")
	second := d.two(0, 60)
	nano := d.fraction()
	zone := d.zone(xsd)
	if d.bad || d.rest != "" || day > daysIn(year, month) {
		return time.Time{}, ErrDateTime
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, nano, time.UTC).Add(-zone)
	switch {
	case hour == 24 && (!xsd || minute+second+nano > 0):
		return time.Time{}, ErrDateTime
	case second == 60 && (xsd || !endsMonth(t.Add(-time.Duration(nano)))):
		return time.Time{}, ErrDateTime
	case t.Year() < 1 || t.Year() > 9999:
		return time.Time{}, ErrYear
	}
	return t, nil
}

// lower returns the letter in lower case, which only RFC 3339 allows.
func lower(xsd bool, letter string) string {
	if xsd {
		return ""
	}
	return letter
}

// endsMonth reports whether a time is the first second of a month. Leap seconds occur only before
// such a time.
func endsMonth(t time.Time) bool {
	return t.Day() == 1 && t.Hour() == 0 && t.Minute() == 0 && t.Second() == 0
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// year parses a year. known is false for a year before 1 or with more than four digits.
func (d *dateTime) year() (_ int, known bool) {
	s, negative := d.rest, false
	if s != "" && s[0] == '-' {
		s, negative = s[1:], true
	}
	n := 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	if n < 4 || n == len(s) || s[n] != '-' || n > 4 && s[0] == '0' {
		d.bad = true
		return 0, true
	}
	d.rest = s[4:]
	y := int(s[0]-'0')*1000 + int(s[1]-'0')*100 + int(s[2]-'0')*10 + int(s[3]-'0')
	return y, !negative && n == 4 && y > 0
}

// one skips a, or else b. Both are a single character; b may be empty.
func (d *dateTime) one(a, b string) {
	if d.rest == "" || d.rest[:1] != a && d.rest[:1] != b {
		d.bad = true
		return
	}
	d.rest = d.rest[1:]
}

// two parses a number of two digits.
func (d *dateTime) two(least, most int) int {
	if len(d.rest) < 2 || d.rest[0] < '0' || d.rest[0] > '9' || d.rest[1] < '0' || d.rest[1] > '9' {
		d.bad = true
		return least
	}
	n := int(d.rest[0]-'0')*10 + int(d.rest[1]-'0')
	d.rest = d.rest[2:]
	if n < least || n > most {
		d.bad = true
		return least
	}
	return n
}

// fraction parses the fraction of a second, if there is one, and returns nanoseconds. It may have
// any number of digits.
func (d *dateTime) fraction() (nano int) {
	if d.rest == "" || d.rest[0] != '.' {
		return 0
	}
	digits := 0
	for d.rest = d.rest[1:]; d.rest != "" && '0' <= d.rest[0] && d.rest[0] <= '9'; d.rest = d.rest[1:] {
		if digits++; digits <= 9 {
			nano = nano*10 + int(d.rest[0]-'0')
		}
	}
	d.bad = d.bad || digits == 0
	for ; digits < 9; digits++ {
		nano *= 10
	}
	return nano
}

// zone parses the offset from UTC.
func (d *dateTime) zone(xsd bool) time.Duration {
	if d.rest == "" {
		d.bad = d.bad || !xsd
		return 0
	}
	sign := time.Duration(1)
	switch d.rest[0] {
	case '+':
	case '-':
		sign = -1
	default:
		d.one("Z", lower(xsd, "z"))
		return 0
	}
	d.rest = d.rest[1:]
	most := 23
	if xsd {
		most = 14
	}
	hours := d.two(0, most)
	d.one(":", "")
	minutes := d.two(0, 59)
	d.bad = d.bad || xsd && hours == 14 && minutes > 0
	return sign * (time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute)
}
