package schema

import (
	"errors"
	"time"
)

// Errors of ParseXSD and ParseRFC3339. They say what is wanted.
var (
	ErrDateTime = errors.New("a dateTime")
	ErrYear     = errors.New("a dateTime of the years 1 to 9999")
)

// ParseXSD reads a dateTime in any form that XML Schema 1.0 has for it. One without a
// zone is in UTC, as the server's are. What is finer than a nanosecond is cut off.
func ParseXSD(s string) (time.Time, error) { return parseDateTime(s, true) }

// ParseRFC3339 reads a date-time in any form that RFC 3339 has for it. A leap second is
// the second after it. What is finer than a nanosecond is cut off.
func ParseRFC3339(s string) (time.Time, error) { return parseDateTime(s, false) }

// AppendDateTime appends a time in UTC, in a form that both standards have. It has up
// to six digits of fraction, as vCenter's: Python reads no more. ok is false for a
// time that has no such form.
func AppendDateTime(b []byte, t time.Time) (_ []byte, ok bool) {
	t = t.UTC()
	if y := t.Year(); y < 1 || y > 9999 {
		return b, false
	}
	return t.Truncate(time.Microsecond).AppendFormat(b, time.RFC3339Nano), true
}

// dateTime is a text that is being read, and what was wrong with it.
type dateTime struct {
	rest string
	bad  bool
}

// parseDateTime reads a dateTime. The forms of XML Schema and of RFC 3339 differ: xsd
// has an hour of 24, and may leave the zone out; RFC 3339 has leap seconds, letters in
// lower case, and zones of up to a day.
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

// lower is a letter in lower case, which RFC 3339 allows.
func lower(xsd bool, letter string) string {
	if xsd {
		return ""
	}
	return letter
}

// endsMonth reports whether a time is the first second of a month. A leap second is
// before one.
func endsMonth(t time.Time) bool {
	return t.Day() == 1 && t.Hour() == 0 && t.Minute() == 0 && t.Second() == 0
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// year reads a year. known is false for one that is before the year 1, or that has
// more than four digits.
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

// one passes one of two texts of a character; the second may be empty.
func (d *dateTime) one(a, b string) {
	if d.rest == "" || d.rest[:1] != a && d.rest[:1] != b {
		d.bad = true
		return
	}
	d.rest = d.rest[1:]
}

// two reads a number of two digits.
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

// fraction reads the fraction of a second, if there is one, in nanoseconds. It has any
// number of digits.
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

// zone reads how far the zone is ahead of UTC.
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
