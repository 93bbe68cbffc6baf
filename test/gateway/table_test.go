package gateway

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// line is a line of a table of invocations. Words in single quotes may contain blanks, $NAME is the value of a
// variable, and a line may begin with any of these:
//
//	NAME =   the output becomes the value of a variable
//	!        the command fails; without it, it succeeds
//	~        the order of the lines of the output is not fixed
//	%        the numbers in the output are not fixed
//	&        the command runs beside those that follow, until a line that says wait
//
// and end with < FILE, a file of testdata/files that the command reads.
type line struct {
	text       string // as it is in the file, for messages
	number     int
	variable   string
	fails      bool
	unordered  bool
	numbers    bool
	background bool
	wait       bool
	words      []string
	input      string // content of the file
}

var assignment = regexp.MustCompile(`^([a-z]+) = (.*)$`)

// readTable reads a table of the directory testdata.
func readTable(t *testing.T, name string) []line {
	t.Helper()
	var all []line
	for i, text := range strings.Split(readFile(t, "testdata/"+name), "\n") {
		text = strings.TrimSpace(text)
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		l, err := parseLine(text)
		if err != nil {
			t.Fatalf("testdata/%s:%d: %v", name, i+1, err)
		}
		if l.number = i + 1; l.input != "" {
			l.input = readFile(t, "testdata/files/"+l.input)
		}
		all = append(all, l)
	}
	return all
}

func parseLine(text string) (line, error) {
	l := line{text: text, wait: text == "wait"}
	rest := text
	if m := assignment.FindStringSubmatch(rest); m != nil {
		l.variable, rest = m[1], m[2]
	}
	words, err := split(rest)
	if err != nil {
		return l, err
	}
	for len(words) > 0 {
		is, ok := map[string]*bool{"!": &l.fails, "~": &l.unordered, "%": &l.numbers, "&": &l.background}[words[0]]
		if !ok {
			break
		}
		*is, words = true, words[1:]
	}
	if n := len(words); n > 2 && words[n-2] == "<" {
		l.input, words = words[n-1], words[:n-2]
	}
	if len(words) == 0 {
		return l, fmt.Errorf("no command in %q", text)
	}
	l.words = words
	return l, nil
}

// split splits a line into words.
func split(text string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord, quoted := false, false
	for _, c := range text {
		switch {
		case c == '\'':
			quoted, inWord = !quoted, true
		case c == ' ' && !quoted:
			if inWord {
				words = append(words, word.String())
				word.Reset()
			}
			inWord = false
		default:
			word.WriteRune(c)
			inWord = true
		}
	}
	if quoted {
		return nil, fmt.Errorf("a quote has no end in %q", text)
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

var variable = regexp.MustCompile(`\$[a-z]+`)

// expand returns the arguments with the values of the variables.
func (l line) expand(values map[string]string) ([]string, error) {
	var err error
	args := make([]string, len(l.words))
	for i, w := range l.words {
		args[i] = variable.ReplaceAllStringFunc(w, func(name string) string {
			v, ok := values[name[1:]]
			if !ok {
				err = fmt.Errorf("line %d: %s has no value", l.number, name)
			}
			return v
		})
	}
	return args, err
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
