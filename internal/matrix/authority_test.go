package matrix

import (
	"os"
	"strings"
	"testing"
)

// authorityTable is the head of the table in docs/security.md that has the rules for the rows that
// change authority.
const authorityTable = "| row | what the caller needs besides the row's privilege |"

func TestTheRowsThatChangeAuthorityAreThoseOfTheDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), authorityTable+"\n|--|--|\n")
	if !found {
		t.Fatal("docs/security.md has no table of the rows that change authority")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	documented := map[string]string{}
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(line, "|\n "), " | ")
		if len(cells) != 2 {
			t.Fatalf("not a row of the table: %q", line)
		}
		documented[strings.Trim(cells[0], "` ")] = strings.TrimSpace(cells[1])
	}
	for _, r := range rows(t) {
		rule := ""
		if r.method != nil {
			rule = r.method.Authority
		}
		if got := documented[r.String()]; got != rule {
			t.Errorf("%s: the rule is %q, the document says %q", r, rule, got)
		}
		delete(documented, r.String())
	}
	for name := range documented {
		t.Errorf("the document has %s, which is not served", name)
	}
}
