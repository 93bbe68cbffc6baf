package property

import (
	"errors"
	"strconv"
	"strings"

	"github.com/vigate/vigate/internal/vim"
)

// Limits of one path: far beyond what any object's data needs.
const (
	maxPath  = 1 << 10 // bytes
	maxSteps = 32
)

// path is a property, or a part of its value: message, currentSession.userName,
// sessionList["KEY"].userName.
type path struct {
	text     string // as the client wrote it
	property string
	steps    []step
}

// step goes from a value to a part of it.
type step struct {
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

var errPath = errors.New("not the path of a property")

// parsePath reads what clients write, see PropertyChange.name in the API's
// reference: foo.bar, foo.arProp["key val"], foo.arProp["key val"].baz. Inside
// quotes a backslash takes the next byte as it is.
func parsePath(text string) (path, error) {
	if len(text) > maxPath {
		return path{}, errPath
	}
	name, rest := cutName(text)
	if name == "" {
		return path{}, errPath
	}
	p := path{text: text, property: name}
	for rest != "" {
		if len(p.steps) == maxSteps {
			return path{}, errPath
		}
		var s step
		var ok bool
		switch rest[0] {
		case '.':
			s.text, rest = cutName(rest[1:])
			ok = s.text != ""
		case '[':
			s, rest, ok = cutKey(rest[1:])
		}
		if !ok {
			return path{}, errPath
		}
		p.steps = append(p.steps, s)
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
func cutKey(s string) (_ step, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		digits, rest, ok := strings.Cut(s, "]")
		n, err := strconv.ParseInt(digits, 10, 64)
		if !ok || err != nil || strconv.FormatInt(n, 10) != digits {
			return step{}, "", false
		}
		return step{kind: numberKey, number: n}, rest, true
	}
	var key strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			if !strings.HasPrefix(s[i+1:], "]") {
				return step{}, "", false
			}
			return step{kind: textKey, text: key.String()}, s[i+2:], true
		case '\\':
			if i++; i == len(s) {
				return step{}, "", false
			}
		}
		key.WriteByte(s[i])
	}
	return step{}, "", false
}

var escapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// keyed is the step to the element with the key, as it stands in a path.
func keyed(key string) string { return `["` + escapes.Replace(key) + `"]` }

// numbered is keyed for a number.
func numbered(key int64) string { return "[" + strconv.FormatInt(key, 10) + "]" }

// pathFault: there is no such path.
func pathFault(p path) error { return vim.PropertyNotFound(p.text) }
