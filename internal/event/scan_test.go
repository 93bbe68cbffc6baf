package event

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"
	"time"
)

// scanned reports whether scan accepts the text. If it does, the result must be that of
// encoding/json.
func scanned(t *testing.T, text string) bool {
	t.Helper()
	var got Event
	if !scan(text, &got) {
		return false
	}
	var want stored
	if err := json.Unmarshal([]byte(text), &want); err != nil || want.V != 0 || !reflect.DeepEqual(got, want.Event) {
		t.Fatalf("%q:\n got %+v\nwant %+v, %v", text, got, want, err)
	}
	return true
}

func fullEvent() Event {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
	return Event{
		ChainID: math.MaxInt32, Type: "EventEx", ID: "vigate.x", User: `VSPHERE.LOCAL\jürgen "j"`, Origin: "o",
		Created: at, SessionID: "52", Address: "192.0.2.7",
		UserAgent: "a/1", Locale: "de", LoginTime: at.Add(-time.Hour), CallCount: math.MaxInt64, Subject: `A\b`,
		Message: "m", PrevMessage: "p", Severity: "info", Tag: "t",
	}
}

func TestEventsAreScannedAsJSONReadsThem(t *testing.T) {
	e := fullEvent()
	whole := string(encode(e))
	if !scanned(t, whole) {
		t.Errorf("%s is not scanned", whole)
	}
	for n := range len(whole) {
		if scanned(t, whole[:n]) {
			t.Errorf("an incomplete event is scanned: %s", whole[:n])
		}
		for _, c := range `0"\{},: x` + "\x00\xff" {
			scanned(t, whole[:n]+string(c)+whole[n+1:])
			scanned(t, whole[:n]+string(c)+whole[n:])
		}
	}
	for _, text := range []string{
		"", "{", "{}", `{"type":null}`, `{"v":1}`, `{"type":"a"}x`, `{"type":"a",}`, `{"TYPE":"a"}`, `{"calls":01}`,
		`{"calls":-0}`, `{"calls":+1}`, `{"calls":1e2}`,
		`{"calls":9223372036854775808}`, `{"chain":2147483648}`, `{"user":"\u0041"}`, `{"user":"a` + "\n" + `"}`,
		`{"user":"\`, "{\"user\":\"\xff\"}", `{"args":{"a":"b"}}`,
		`{"created":"2026"}`, `{"created":7}`,
	} {
		if scanned(t, text) {
			t.Errorf("%q is scanned", text)
		}
	}
	for _, text := range []string{`{"type":"a","type":"b"}`, `{"calls":-7,"chain":-7}`,
		`{"created":"2026-01-02T03:04:05+01:00"}`} {
		if !scanned(t, text) {
			t.Errorf("%q is not scanned", text)
		}
	}
}

func FuzzAnEventIsScannedAsJSONReadsIt(f *testing.F) {
	f.Add(string(encode(fullEvent())))
	f.Add(`{"type":"a","calls":-7,"created":"2026-01-02T03:04:05+01:00"}`)
	f.Fuzz(func(t *testing.T, text string) { scanned(t, text) })
}

func BenchmarkDecode(b *testing.B) {
	e := fullEvent()
	text := string(encode(e))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decode(text); err != nil {
			b.Fatal(err)
		}
	}
}
