package matrix

import (
	"os"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/vim"
)

// Values in published.txt that take the place of a privilege.
const (
	unstated = "-"   // the reference states no privilege
	ownRow   = "own" // the reference does not have the row
)

// published is a row of the published reference.
type published struct {
	privilege string
	why       string // reason why this server requires another privilege
}

func readPublished(t *testing.T) map[string]published {
	t.Helper()
	text, err := os.ReadFile("testdata/published.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]published{}
	for line := range strings.Lines(string(text)) {
		line, why, _ := strings.Cut(line, "|")
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0 || strings.HasPrefix(line, "#"):
		case len(fields) != 2 || all[fields[0]] != (published{}):
			t.Errorf("published.txt: %q is not a row with its privilege, or it is listed twice", line)
		default:
			all[fields[0]] = published{fields[1], strings.TrimSpace(why)}
		}
	}
	return all
}

// If the reference states no privilege, the row needs a live session with a role.
func (p published) same(privilege string) bool {
	return p.privilege == privilege || p.privilege == unstated && privilege == string(vim.View)
}

func TestEveryRowRequiresThePublishedPrivilegeOrGivesAReason(t *testing.T) {
	reference := readPublished(t)
	for _, r := range rows(t) {
		p, there := reference[r.String()]
		delete(reference, r.String())
		switch {
		case !there:
			t.Errorf("published.txt does not have %s: add the privilege that the reference states, or %q", r, ownRow)
		case p.privilege == ownRow && p.why == "":
			t.Errorf("published.txt does not say what %s is for", r)
		case p.privilege == ownRow:
		case p.same(r.privilege) && p.why != "":
			t.Errorf("%s needs %s, as published, so the reason %q is not needed", r, r.privilege, p.why)
		case !p.same(r.privilege) && p.why == "":
			t.Errorf("%s needs %s, published is %s, and published.txt gives no reason", r, r.privilege, p.privilege)
		}
	}
	for _, r := range rows(t) {
		if r.method != nil && r.method.OwnSession != (own[r.String()] != "") {
			t.Errorf("%s is for every live session: %v; the table own says %q", r, r.method.OwnSession, own[r.String()])
		}
	}
	for name := range reference {
		t.Errorf("published.txt has %s, which is not served", name)
	}
}
