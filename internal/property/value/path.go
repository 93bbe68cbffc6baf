package value

import (
	"errors"
	"strconv"
	"strings"
)

// MaxPath is the maximum length of a path in bytes, and maxSteps is the maximum number of its
// steps. Both are far more than any object's data needs.
const (
	MaxPath  = 1 << 10
	maxSteps = 32
)

// Path names a property or a part of its value. Examples are message, currentSession.userName and
// sessionList["KEY"].userName.
type Path struct {
	Text     string // as the client wrote it
	Property string
	Steps    []Step
}

// Step leads from a value to one of its parts.
type Step struct {
	kind   stepKind
	text   string // name of the member, or key
	number int64  // numeric key
}

type stepKind int

const (
	member    stepKind = iota // a member of a data object
	textKey                   // the element of a list with a string key
	numberKey                 // the element of a list with a numeric key
)

// ErrPath means that a text is not a valid path.
var ErrPath = errors.New("not the path of a property")

// Parse parses a path from a client. PropertyChange.name in the API's reference defines the form:
// foo.bar, foo.arProp["key val"], foo.arProp["key val"].baz. Inside quotes, a backslash escapes the
// next byte. The error is ErrPath.
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

// cutName splits s after the name at its beginning.
func cutName(s string) (name, rest string) {
	i := 0
	for i < len(s) && (s[i] == '_' || '0' <= s[i] && s[i] <= '9' || 'a' <= s[i] && s[i] <= 'z' || 'A' <= s[i] &&
		s[i] <= 'Z') {
		i++
	}
	return s[:i], s[i:]
}

// cutKey splits s after the key and the closing bracket at its beginning. The caller has removed
// the opening bracket.
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

// quoteKey returns the path step to the element with a string key.
func quoteKey(key string) string { return `["` + escapes.Replace(key) + `"]` }

// formatKey returns the path step to the element with a numeric key.
func formatKey(key int64) string { return "[" + strconv.FormatInt(key, 10) + "]" }
