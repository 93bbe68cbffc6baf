package vectors

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var placeholder = regexp.MustCompile(`\$\{([A-Za-z0-9_.]+)\}`)

// patterns are the placeholders for values that a vector can't know.
var patterns = map[string]string{
	"uuid":   `[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`,
	"time":   `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z`,
	"int":    `-?\d+`,
	"ticket": `[A-Za-z0-9_-]{22,}`,
	"text":   `.+`,
}

// more is the placeholder for any number of further elements at the end of a list.
const more = "${more}"

// fill replaces the placeholders whose value is known. All others must be patterns.
func fill(text string, known func(string) (string, bool)) string {
	return placeholder.ReplaceAllStringFunc(text, func(s string) string {
		v, ok := known(s[2 : len(s)-1])
		if !ok {
			return s
		}
		quoted, _ := json.Marshal(v) // marshalling a string can't fail
		return string(quoted[1 : len(quoted)-1])
	})
}

// match returns an error if the JSON value got does not match want.
func match(want, got json.RawMessage) error {
	var w, g any
	if err := json.Unmarshal(want, &w); err != nil {
		return err
	}
	d := json.NewDecoder(strings.NewReader(string(got)))
	d.UseNumber()
	if err := d.Decode(&g); err != nil {
		return fmt.Errorf("got %q, which is not JSON: %w", got, err)
	}
	return same("", w, g)
}

func same(at string, want, got any) error {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return differ(at, want, got)
		}
		for _, key := range slices.Sorted(maps.Keys(w)) {
			v, ok := g[key]
			if !ok {
				return fmt.Errorf("%s.%s is missing", at, key)
			}
			if err := same(at+"."+key, w[key], v); err != nil {
				return err
			}
		}
		for _, key := range slices.Sorted(maps.Keys(g)) {
			if _, ok := w[key]; !ok {
				return fmt.Errorf("%s.%s must not exist, but is %v", at, key, g[key])
			}
		}
		return nil
	case []any:
		g, ok := got.([]any)
		if n := len(w) - 1; n >= 0 && w[n] == more && n <= len(g) {
			w, g = w[:n], g[:n]
		}
		if !ok || len(g) != len(w) {
			return differ(at, want, got)
		}
		for i := range w {
			if err := same(fmt.Sprintf("%s[%d]", at, i), w[i], g[i]); err != nil {
				return err
			}
		}
		return nil
	case string:
		return sameText(at, w, got)
	case float64:
		if n, ok := got.(json.Number); ok && n.String() == strconv.FormatFloat(w, 'f', -1, 64) {
			return nil
		}
	default:
		if want == got {
			return nil
		}
	}
	return differ(at, want, got)
}

// sameText matches a string. If want is only ${int}, it matches a number.
func sameText(at, want string, got any) error {
	text, ok := got.(string)
	if n, is := got.(json.Number); is && want == "${int}" {
		text, ok = n.String(), true
	}
	if !ok {
		return differ(at, want, got)
	}
	var re strings.Builder
	re.WriteString(`(?s)^`)
	done := 0
	for _, m := range placeholder.FindAllStringSubmatchIndex(want, -1) {
		p, known := patterns[want[m[2]:m[3]]]
		if !known {
			return fmt.Errorf("%s: unknown placeholder %s", at, want[m[0]:m[1]])
		}
		re.WriteString(regexp.QuoteMeta(want[done:m[0]]) + p)
		done = m[1]
	}
	re.WriteString(regexp.QuoteMeta(want[done:]) + `$`)
	if regexp.MustCompile(re.String()).MatchString(text) {
		return nil
	}
	return differ(at, want, got)
}

func differ(at string, want, got any) error {
	if at == "" {
		at = "the value"
	}
	return fmt.Errorf("%s is %v, want %v", at, got, want)
}
