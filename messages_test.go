package vigate_test

import (
	"go/ast"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// told is a text in backticks.
var told = regexp.MustCompile("`([^`]+)`")

// verb is a verb of package fmt.
var verb = regexp.MustCompile(`%(\[\d+\])?[+#.\d]*[a-zA-Z]`)

// unsaid are texts of the tables that are not messages of this server's code: those of Go, of directories and of
// clients, names of keys and values, and fields of the log.
var unsaid = map[string]bool{
	"no such file or directory": true, "certificate signed by unknown authority": true,
	"certificate is valid for": true, "Invalid Credentials": true, "Strong Auth Required": true,
	"has 0 users and 0 groups": true, "401 Unauthorized": true,
}

// messages returns the literals of the program, the ones for package fmt also as regular expressions, in which a
// verb stands for any text, and their pieces between the verbs.
func messages(t *testing.T) (all []string, forms []*regexp.Regexp, pieces []string) {
	t.Helper()
	for _, s := range parsed(t, false) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			l, ok := n.(*ast.BasicLit)
			if !ok || l.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(l.Value)
			if err != nil || len(text) < 8 {
				return true
			}
			all = append(all, text)
			if fixed := verb.ReplaceAllString(text, ""); fixed != text && len(fixed) >= 8 {
				form := verb.ReplaceAllString(regexp.QuoteMeta(text), ".*")
				forms = append(forms, regexp.MustCompile(form))
				for _, piece := range verb.Split(text, -1) {
					if piece = strings.TrimSpace(piece); len(piece) >= 8 {
						pieces = append(pieces, piece)
					}
				}
			}
			return true
		})
	}
	return all, forms, pieces
}

// An operator finds the remedy for a message by searching the document for the message. So each message in its
// tables is one that the program has, word for word.
func TestTheMessagesInTheTablesOfIdentityAreThoseOfTheProgram(t *testing.T) {
	doc, err := os.ReadFile("docs/identity.md")
	if err != nil {
		t.Fatal(err)
	}
	literals, forms, pieces := messages(t)
	known := func(part string) bool {
		if len(part) < 8 {
			return false
		}
		for _, l := range literals {
			if strings.Contains(l, part) {
				return true
			}
		}
		for _, f := range forms {
			if at := f.FindStringIndex(part); at != nil && at[1]-at[0] >= len(part)*2/3 {
				return true
			}
		}
		for _, piece := range pieces {
			if strings.Contains(part, piece) && len(piece) >= len(part)*2/5 {
				return true
			}
		}
		return false
	}
	tables, rows, checked := []string{"| fault |", "| `config check` prints |", "| `cause` in the log ",
		"| other lines of the log |"}, 0, 0
	inside := false
	for line := range strings.Lines(string(doc)) {
		for _, head := range tables {
			inside = inside || strings.HasPrefix(line, head)
		}
		if inside = inside && strings.HasPrefix(line, "|"); !inside || strings.HasPrefix(line, "|--") {
			continue
		}
		first, _, _ := strings.Cut(line[1:], " |")
		rows++
		for _, m := range told.FindAllStringSubmatch(first, -1) {
			for _, part := range strings.FieldsFunc(strings.NewReplacer(": ", "\n", "…", "\n", `"`, "\n").Replace(m[1]),
				func(r rune) bool { return r == '\n' }) {
				part = strings.Trim(part, " ,;")
				if len(part) < 8 || unsaid[part] {
					continue
				}
				// A mistake of the configuration begins with the key.
				_, problem, _ := strings.Cut(part, " ")
				if checked++; !known(part) && !known(problem) {
					t.Errorf("docs/identity.md has the message %q, and the program has not: %q", m[1], part)
				}
			}
		}
	}
	if rows < 60 || checked < 60 {
		t.Errorf("only %d rows and %d parts of messages were found", rows, checked)
	}
}
