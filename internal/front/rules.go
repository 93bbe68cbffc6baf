package front

import (
	"strings"

	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/upstream"
	"github.com/vigate/vigate/internal/upstream/settings"
)

// rules map principals to accounts. If several accounts fit, the first in the configuration counts.
type rules struct {
	names      []string       // of the accounts
	principals map[string]int // account by principal.Name.Key
	groups     map[string]int // account by the folded name of a group
}

func newRules(accounts []upstream.AccountConfig, defaultDomain string) rules {
	r := rules{principals: map[string]int{}, groups: map[string]int{}}
	for i, a := range accounts {
		r.names = append(r.names, a.Name)
		for _, text := range a.For {
			in := r.principals
			if group, ok := strings.CutPrefix(text, settings.GroupPrefix); ok {
				in, text = r.groups, group
			}
			// The section's check has parsed it before.
			n, err := principal.Parse(text, strings.ToUpper(defaultDomain))
			if _, before := in[n.Key()]; err == nil && !before {
				in[n.Key()] = i
			}
		}
	}
	return r
}

// account returns the name of the account for the identity.
func (r *rules) account(i *session.Identity) (string, bool) {
	best, ok := len(r.names), false
	if i.Extension {
		return "", false
	}
	if _, _, upstream := i.Name.Upstream(); upstream {
		return "", false
	}
	look := func(in map[string]int, key string) {
		if n, found := in[key]; found && n < best {
			best, ok = n, true
		}
	}
	look(r.principals, i.Name.Key())
	if len(r.groups) > 0 {
		for _, g := range i.Groups {
			look(r.groups, principal.Fold(g))
		}
	}
	if !ok {
		return "", false
	}
	return r.names[best], true
}
