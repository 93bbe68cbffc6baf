package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/client"
)

func TestTextsOfAServerCannotControlTheTerminal(t *testing.T) {
	for text, want := range map[string]string{
		"plain Ünïcode 日本": "plain Ünïcode 日本", "a\nb\tc": "a b c", "\x1b[31mred": "\uFFFD[31mred",
		"x\u202egnp": "x\uFFFDgnp", "\x9b": "\uFFFD", "a\x7fb": "a\uFFFDb", "": "",
	} {
		if got := Clean(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
	var out bytes.Buffer
	if err := (Output{w: &out}).Text("one\n\x1btwo"); err != nil || out.String() != "one\n\uFFFDtwo\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func TestJSONIsThatOfTheAPI(t *testing.T) {
	for name, tc := range map[string]struct {
		value any
		want  string
	}{
		"object": {types.UserSearchResult{Principal: "p"},
			`{"_typeName":"UserSearchResult","principal":"p","group":false}`},
		"list": {[]types.BaseUserSearchResult{&types.UserSearchResult{Principal: "<p>"}},
			`[{"_typeName":"UserSearchResult","principal":"<p>","group":false}]`},
		"no list": {[]types.UserSession(nil), `[]`},
		"any": {&types.OptionValue{Key: "k", Value: int32(3)},
			`{"_typeName":"OptionValue","key":"k","value":{"_typeName":"int","_value":3}}`},
		"boolean":      {true, `true`},
		"no API's own": {settings{url: "x"}, `{}`},
	} {
		var out, got bytes.Buffer
		if err := (Output{w: &out, JSON: true}).Show(tc.value, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := json.Compact(&got, out.Bytes()); err != nil || got.String() != tc.want {
			t.Errorf("%s: %s, want %s (%v)", name, got.String(), tc.want, err)
		}
	}
}

func TestAgesHaveTwoUnits(t *testing.T) {
	now := time.Date(2025, 1, 10, 0, 0, 0, 0, time.UTC)
	o := Output{now: func() time.Time { return now }}
	for age, want := range map[time.Duration]string{
		-time.Second: "0s", 59 * time.Second: "59s", 61 * time.Second: "1m1s",
		3*time.Hour + 5*time.Minute + time.Second: "3h5m", 49 * time.Hour: "2d1h",
	} {
		if got := o.Age(now.Add(-age)); got != want {
			t.Errorf("%s: %s, want %s", age, got, want)
		}
	}
}

func TestAnErrorStatusIsExplained(t *testing.T) {
	status := &client.HTTPError{Operation: "SessionManager.Login", StatusCode: http.StatusServiceUnavailable,
		RetryAfter: time.Minute, Message: "2000 sessions of 2000"}
	text, code := Explain(serverError{status, "https://h"})
	if code != ExitUnavailable || !strings.Contains(text, "2000 sessions of 2000") || !strings.Contains(text, "1m0s") {
		t.Errorf("%d: %s", code, text)
	}
	status.StatusCode = http.StatusTeapot
	if _, code := Explain(serverError{status, "https://h"}); code != exitGeneral {
		t.Errorf("exit code %d", code)
	}
	if text, code := Explain(errors.New("open x: no such file")); code != exitGeneral ||
		text != "open x: no such file" {
		t.Errorf("%d: %s", code, text)
	}
}
