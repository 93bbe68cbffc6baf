package schema

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// dateTimes are texts with their meaning in XML Schema and in RFC 3339: the time in Go's format,
// "year" for a time that is out of range, or "" if the text is not a dateTime.
var dateTimes = []struct{ text, xsd, rfc3339 string }{
	{"2026-02-03T04:05:06Z", "2026-02-03T04:05:06Z", "2026-02-03T04:05:06Z"},
	{"2026-02-03T04:05:06z", "", "2026-02-03T04:05:06Z"},
	{"2026-02-03t04:05:06Z", "", "2026-02-03T04:05:06Z"},
	{"2026-02-03t04:05:06.5z", "", "2026-02-03T04:05:06.5Z"},
	{"2026-02-03T04:05:06", "2026-02-03T04:05:06Z", ""},
	{"2026-02-03T04:05:06.25", "2026-02-03T04:05:06.25Z", ""},
	{"2026-02-03 04:05:06Z", "", ""},
	{"2026-02-03T04:05:06+01:00", "2026-02-03T03:05:06Z", "2026-02-03T03:05:06Z"},
	{"2026-02-03T04:05:06-09:30", "2026-02-03T13:35:06Z", "2026-02-03T13:35:06Z"},
	{"2026-02-03T04:05:06-00:00", "2026-02-03T04:05:06Z", "2026-02-03T04:05:06Z"},
	{"2026-02-03T04:05:06+14:00", "2026-02-02T14:05:06Z", "2026-02-02T14:05:06Z"},
	{"2026-02-03T04:05:06+14:01", "", "2026-02-02T14:04:06Z"},
	{"2026-02-03T04:05:06+23:59", "", "2026-02-02T04:06:06Z"},
	{"2026-02-03T04:05:06+24:00", "", ""},
	{"2026-02-03T04:05:06+01:60", "", ""},
	{"2026-02-03T04:05:06+0100", "", ""},
	{"2026-02-03T04:05:06+01", "", ""},
	{"2026-02-03T04:05:06 Z", "", ""},
	{"2026-02-03T04:05:06.1Z", "2026-02-03T04:05:06.1Z", "2026-02-03T04:05:06.1Z"},
	{"2026-02-03T04:05:06.123456789Z", "2026-02-03T04:05:06.123456789Z", "2026-02-03T04:05:06.123456789Z"},
	{"2026-02-03T04:05:06.1234567899999999999Z", "2026-02-03T04:05:06.123456789Z", "2026-02-03T04:05:06.123456789Z"},
	{"2026-02-03T04:05:06.000Z", "2026-02-03T04:05:06Z", "2026-02-03T04:05:06Z"},
	{"2026-02-03T04:05:06.Z", "", ""},
	{"2026-02-03T04:05:06,5Z", "", ""},
	{"2026-02-03T04:05Z", "", ""},
	{"2026-02-03T4:05:06Z", "", ""},
	{"2026-02-03T24:00:00Z", "2026-02-04T00:00:00Z", ""},
	{"2026-12-31T24:00:00.000-05:00", "2027-01-01T05:00:00Z", ""},
	{"2026-12-31T24:00:00", "2027-01-01T00:00:00Z", ""},
	{"2026-02-03T24:00:01Z", "", ""},
	{"2026-02-03T24:01:00Z", "", ""},
	{"2026-02-03T24:00:00.1Z", "", ""},
	{"2026-02-03T25:00:00Z", "", ""},
	{"2026-02-03T23:60:00Z", "", ""},
	{"2026-02-03T23:59:60Z", "", ""},
	{"1990-12-31T23:59:60Z", "", "1991-01-01T00:00:00Z"},
	{"1990-12-31T23:59:60.5Z", "", "1991-01-01T00:00:00.5Z"},
	{"1990-12-31T15:59:60-08:00", "", "1991-01-01T00:00:00Z"},
	{"1990-12-31T23:59:60-08:00", "", ""},
	{"1990-12-31T23:59:61Z", "", ""},
	{"2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"},
	{"2026-02-29T00:00:00Z", "", ""},
	{"2026-04-31T00:00:00Z", "", ""},
	{"2026-00-01T00:00:00Z", "", ""},
	{"2026-13-01T00:00:00Z", "", ""},
	{"2026-01-00T00:00:00Z", "", ""},
	{"2026-1-1T00:00:00Z", "", ""},
	{"0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"},
	{"9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999999Z"},
	{"0001-01-01T00:00:00+01:00", "year", "year"},
	{"9999-12-31T23:59:59-01:00", "year", "year"},
	{"9999-12-31T24:00:00Z", "year", ""},
	{"0000-01-01T00:00:00Z", "year", "year"},
	{"-0044-03-15T00:00:00Z", "year", "year"},
	{"-12026-01-01T00:00:00Z", "year", "year"},
	{"12026-01-01T00:00:00Z", "year", "year"},
	{"02026-01-01T00:00:00Z", "", ""},
	{"+2026-01-01T00:00:00Z", "", ""},
	{"226-01-01T00:00:00Z", "", ""},
	{"2026-02-03", "", ""},
	{"2026-02-03Z", "", ""},
	{"04:05:06Z", "", ""},
	{"2026-034T00:00:00Z", "", ""},
	{"20260203T040506Z", "", ""},
	{"2026-02-03T04:05:06ZZ", "", ""},
	{"2026-02-03T04:05:06Z ", "", ""},
	{"２０２６-02-03T04:05:06Z", "", ""},
	{"yesterday", "", ""},
	{"", "", ""},
	{"-", "", ""},
}

func said(t time.Time, err error) string {
	switch {
	case errors.Is(err, ErrYear):
		return "year"
	case errors.Is(err, ErrDateTime):
		return ""
	case err != nil:
		return err.Error()
	}
	return t.Format(time.RFC3339Nano)
}

func TestDateTimesAreParsedInEveryFormOfTheirStandards(t *testing.T) {
	for _, d := range dateTimes {
		if got := said(ParseXSD(d.text)); got != d.xsd {
			t.Errorf("XML Schema: %q is %q, want %q", d.text, got, d.xsd)
		}
		if got := said(ParseRFC3339(d.text)); got != d.rfc3339 {
			t.Errorf("RFC 3339: %q is %q, want %q", d.text, got, d.rfc3339)
		}
	}
}

func TestTimesAreWrittenWithUpToSixDigitsOfFraction(t *testing.T) {
	at := time.Date(2026, 2, 3, 4, 5, 6, 0, time.FixedZone("x", 3600))
	for nano, want := range map[int]string{
		0: "2026-02-03T03:05:06Z", 1: "2026-02-03T03:05:06Z", 999: "2026-02-03T03:05:06Z",
		1000: "2026-02-03T03:05:06.000001Z", 123456789: "2026-02-03T03:05:06.123456Z",
		500000000: "2026-02-03T03:05:06.5Z", 999999999: "2026-02-03T03:05:06.999999Z",
	} {
		if got, ok := AppendDateTime(nil, at.Add(time.Duration(nano))); string(got) != want || !ok {
			t.Errorf("%d: %s %v, want %s", nano, got, ok, want)
		}
	}
	for _, year := range []int{-1, 0, 10000} {
		if got, ok := AppendDateTime([]byte("x"), time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC)); ok ||
			string(got) != "x" {
			t.Errorf("the year %d: %s", year, got)
		}
	}
	if got, ok := AppendDateTime(nil, time.Date(1, 1, 1, 0, 0, 0, 999, time.UTC)); !ok ||
		string(got) != "0001-01-01T00:00:00Z" {
		t.Errorf("%s %v", got, ok)
	}
}

// ordinary converts a valid text to a form that Go's time package can parse: without leap seconds,
// the hour 24 and lower-case letters.
func ordinary(s string) string {
	s = strings.ToUpper(s)
	if !strings.HasSuffix(s, "Z") && !strings.ContainsAny(s[10:], "+-") {
		s += "Z"
	}
	return s
}

func FuzzDateTime(f *testing.F) {
	for _, d := range dateTimes {
		f.Add(d.text)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for name, parse := range map[string]func(string) (time.Time, error){"XML Schema": ParseXSD,
			"RFC 3339": ParseRFC3339} {
			got, err := parse(s)
			if err != nil {
				if err != ErrDateTime && err != ErrYear || !got.IsZero() {
					t.Fatalf("%s: %q: %v %v", name, s, got, err)
				}
				continue
			}
			if got.Location() != time.UTC {
				t.Fatalf("%s: %q is in %v", name, s, got.Location())
			}
			text, ok := AppendDateTime(nil, got)
			again, err := parse(string(text))
			if !ok || err != nil || !again.Equal(got.Truncate(time.Microsecond)) {
				t.Fatalf("%s: %q is written as %s, and read as %v %v", name, s, text, again, err)
			}
			if s[11:13] == "24" || s[17:19] == "60" {
				continue
			}
			want, err := time.Parse(time.RFC3339Nano, ordinary(s))
			if err != nil || !got.Equal(want) {
				t.Fatalf("%s: %q is %v, want %v %v", name, s, got, want, err)
			}
		}
	})
}
