// Package secrettest supports tests: it checks that a value does not show a secret.
//
// [Hides] prints, logs and encodes a value in every form of the standard library, alone and inside other
// values, and fails the test if the secret occurs in any of them. [Forms] returns these occurrences. Files
// and network traffic are not searched.
package secrettest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// verbs are the formats of package fmt that print any part of a value.
var verbs = []string{
	"%v", "%+v", "%#v", "%T", "%s", "%q", "%#q", "%+q", "%x", "%X", "% x", "%#x", "%d", "%o", "%O", "%b", "%c", "%U",
	"%#U", "%e", "%g", "%p", "%t", "%w", "%z", "%10v", "%-8s", "%.3s", "%+d", "%#d",
}

// Hides fails the test if any form of v shows the secret: v alone, behind a pointer, and in fields, lists and
// maps of other values.
func Hides(t testing.TB, secret string, v any) {
	t.Helper()
	for _, form := range Forms(secret, v) {
		t.Errorf("%T shows the secret by %s", v, form)
	}
}

// Forms returns the forms in which v shows the secret.
func Forms(secret string, v any) []string {
	type shown struct{ Value any }
	type hidden struct{ value any }
	places := map[string]any{
		"itself": v, "a pointer": &v, "a field": shown{v}, "an unexported field": hidden{v},
		"a pointer to a field": &hidden{v},
		"a list":               []any{v}, "a map": map[string]any{"k": v},
		"an error": fmt.Errorf("e: %w, %v", errorOf(v), v),
	}
	var found []string
	look := func(place, form, text string) {
		for _, s := range spellings(secret) {
			if strings.Contains(text, s) {
				found = append(found, form+" of "+place)
				return
			}
		}
	}
	for place, p := range places {
		for _, verb := range verbs {
			look(place, verb, fmt.Sprintf(verb, p))
		}
		look(place, "Sprint", fmt.Sprint(p))
		if text, err := json.Marshal(p); err == nil {
			look(place, "json", string(text))
		}
		if text, err := xml.Marshal(p); err == nil {
			look(place, "xml", string(text))
		}
		var log bytes.Buffer
		for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
			slog.New(h).Info("it", "value", p, slog.Group("group", "value", p))
		}
		look(place, "slog", log.String())
	}
	return found
}

// errorOf returns v if it is an error. Otherwise it returns an error with the text of v.
func errorOf(v any) error {
	if err, ok := v.(error); ok {
		return err
	}
	return fmt.Errorf("%v", v)
}

// spellings returns the secret as text, and in the forms in which its bytes can be printed.
func spellings(secret string) []string {
	b := []byte(secret)
	all := []string{secret, base64.StdEncoding.EncodeToString(b)}
	for _, verb := range []string{"%x", "%X", "% x", "% X", "%d", "%#v", "%o", "%b", "%U"} {
		all = append(all, strings.Trim(fmt.Sprintf(verb, b), "[]byte{}"))
	}
	return all
}
