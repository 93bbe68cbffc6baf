package directory

import (
	"testing"

	"github.com/vigate/vigate/internal/principal"
)

func TestEveryNameOfAnOpenDomainExistsAndNoneIsListed(t *testing.T) {
	d := Directory{Open("oidc.example")}
	for _, c := range []struct {
		domain, user string
		want         bool
	}{
		{"OIDC.EXAMPLE", "system:serviceaccount:web:app", true},
		{"oidc.example", "Dev Ops (EMEA)", true},
		{"OIDC.EXAMPLE", "line\u2028break", false},
		{"CORP.EXAMPLE", "alice", false},
		{"", "alice", false},
	} {
		name := principal.Name{Domain: c.domain, User: c.user}
		for _, group := range []bool{false, true} {
			e, ok, err := d.Lookup(t.Context(), name, group)
			if err != nil || ok != c.want || ok && (e.Name != name || e.Group != group || len(e.Groups) > 0) {
				t.Errorf("%q, group %t: %+v, %t, %v", name, group, e, ok, err)
			}
		}
	}
	for _, exact := range []bool{false, true} {
		if found, err := d.Source("oidc.example").Search(t.Context(), "alice", exact); err != nil || len(found) > 0 {
			t.Errorf("a search finds %+v, %v", found, err)
		}
	}
}
