package value

import (
	"errors"
	"strconv"
	"strings"
)

// MaxPath is the longest path in bytes, and maxSteps its most steps: far beyond
// what any object's data needs.
const (
	MaxPath  = 1 << 10
	maxSteps = 32
)

// Path is a property, or a part of its value: message, currentSession.userName,
// sessionList["KEY"].userName.
type Path struct {
	Text     string // as the client wrote it
	Property string
	Steps    []Step
}

// Step goes from a value to a part of it.
type Step struct {
	kind   stepKind
	text   string // the member's name, or the key
	number int64  // the key
}

type stepKind int

const (
	member    stepKind = iota // of a data object
	textKey                   // the element of a list whose key is a string
	numberKey                 // the element of a list whose key is a number
)

// ErrPath: a text is no path.
var ErrPath = errors.New("not the path of a property")

// Parse reads what clients write, see PropertyChange.name in the API's
// reference: foo.bar, foo.arProp["key val"], foo.arProp["key val"].baz. Inside
// quotes a backslash takes the next byte as it is.
func Parse(text string) (Path, error) {
	if len(text) > MaxPath {
		return Path{}, ErrPath
	}
	name, rest := cutName(text)
	if name == "" {
		return Path{}, ErrPath
	}
	p := Path{Text: text, Property: name}
	for rest != "" {
		if len(p.Steps) == maxSteps {
			return Path{}, ErrPath
		}
		var s Step
		var ok bool
		switch rest[0] {
		case '.':
			s.text, rest = cutName(rest[1:])
			ok = s.text != ""
		case '[':
			s, rest, ok = cutKey(rest[1:])
		}
		if !ok {
			return Path{}, ErrPath
		}
		p.Steps = append(p.Steps, s)
	}
	return p, nil
}

// cutName takes the name that s begins with.
func cutName(s string) (name, rest string) {
	i := 0
	for i < len(s) && (s[i] == '_' || '0' <= s[i] && s[i] <= '9' || 'a' <= s[i] && s[i] <= 'z' || 'A' <= s[i] && s[i] <= 'Z') {
		i++
	}
	return s[:i], s[i:]
}

// cutKey takes the key that s, which follows a bracket, begins with.
func cutKey(s string) (_ Step, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		digits, rest, ok := strings.Cut(s, "]")
		n, err := strconv.ParseInt(digits, 10, 64)
		if !ok || err != nil || strconv.FormatInt(n, 10) != digits {
			return Step{}, "", false
		}
		return Step{kind: numberKey, number: n}, rest, true
	}
	var key strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			if !strings.HasPrefix(s[i+1:], "]") {
				return Step{}, "", false
			}
			return Step{kind: textKey, text: key.String()}, s[i+2:], true
		case '\\':
			if i++; i == len(s) {
				return Step{}, "", false
			}
		}
		key.WriteByte(s[i])
	}
	return Step{}, "", false
}

var escapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// keyed is the step to the element with the key, as it stands in a path.
func keyed(key string) string { return `["` + escapes.Replace(key) + `"]` }

// numbered is keyed for a number.
func numbered(key int64) string { return "[" + strconv.FormatInt(key, 10) + "]" }
