package access

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/principal"
)

// Lacking is the rule by which authority changes hands: nobody gives, takes away
// or keeps from others what it lacks itself. Of a principal that has before now
// and after the change, it returns the privileges in which the two differ and
// which are not in has, sorted. A privilege that only one of the two instants
// knows of (an extension that declares it comes or goes) belongs to nobody yet,
// or to nobody any more, and is not counted. One that a role names counts, also
// while no extension declares it: see Authority.
func Lacking(has, before, after Set) []Privilege {
	var lacks []Privilege
	for _, id := range append(before.IDs(), after.IDs()...) {
		if before.Has(id) != after.Has(id) && before.knows(id) && after.knows(id) && !has.Has(id) {
			lacks = append(lacks, id)
		}
	}
	slices.Sort(lacks)
	return slices.Compact(lacks)
}

// Grantor is on whose behalf permissions and roles are changed. The zero value
// has no authority, and so changes none.
type Grantor struct {
	By  event.Actor // for events
	Who Subject
	// Groups are the groups of a user whose own permission is changed, which it
	// falls back to without one. nil: users are in no groups.
	Groups func(principal.Name) []string

	server bool
}

// Server is the grantor of what the server changes by itself.
func Server(by event.Actor) Grantor { return Grantor{By: by, server: true} }

// GrantError refuses a change of authority that the one who makes it lacks.
type GrantError struct{ Lacks []Privilege }

func (e *GrantError) Error() string {
	return "change of authority that the caller lacks: " + strings.Join(Names(e.Lacks...), ", ")
}

// mayChange judges the change of the document from before to after.
func (g Grantor) mayChange(before, after *snapshot) error {
	if g.server {
		return nil
	}
	has := before.privileges(&g.Who)
	var lacks []Privilege
	for _, p := range changed(before, after) {
		lacks = append(lacks, Lacking(has, g.effect(before, p), g.effect(after, p))...)
	}
	// A role that nobody has yet is judged too: another may be about to give it.
	for _, r := range before.doc.Roles {
		if i := after.doc.role(r.ID); i >= 0 {
			was, is := before.words.set(r.Privileges...), after.words.set(after.doc.Roles[i].Privileges...)
			lacks = append(lacks, Lacking(has, was, is)...)
		}
	}
	if len(lacks) == 0 {
		return nil
	}
	slices.Sort(lacks)
	return &GrantError{Lacks: slices.Compact(lacks)}
}

// changed are the principals whose permission, or whose role, is another after
// than before, by the permission's id.
func changed(before, after *snapshot) map[string]permissionRow {
	all := map[string]permissionRow{}
	for _, s := range []*snapshot{before, after} {
		for _, p := range s.doc.Permissions {
			all[p.id()] = p
		}
	}
	for id, p := range all {
		if same(before.grantOf(p), after.grantOf(p)) {
			delete(all, id)
		}
	}
	return all
}

func (s *snapshot) grantOf(p permissionRow) *grant {
	if p.Group {
		return s.groups[p.name().Key()]
	}
	return s.users[p.name().Key()]
}

func same(a, b *grant) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.none == b.none && a.set.Covers(b.set) && b.set.Covers(a.set)
}

// effect is what the snapshot gives the principal of the permission. A principal
// without a domain is an extension, with what being one grants.
func (g Grantor) effect(s *snapshot, p permissionRow) Set {
	name := p.name()
	if p.Group {
		if grant := s.groups[name.Key()]; grant != nil {
			return grant.set
		}
		return s.words.set()
	}
	who := Subject{Principal: name, Extension: name.Domain == ""}
	if g.Groups != nil {
		who.Groups = g.Groups(name)
	}
	return s.privileges(&who)
}

// judge is mayChange for the documents of one try.
func (t *Table) judge(g Grantor, before state, after *document) error {
	words := t.now.Load().words.with(before.doc, after)
	err := g.mayChange(newSnapshot(before, words), newSnapshot(state{doc: after, revision: before.revision}, words))
	if err != nil {
		return fmt.Errorf("change authority: %w", err)
	}
	return nil
}
