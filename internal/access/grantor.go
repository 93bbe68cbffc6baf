package access

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/principal"
)

// Lacking implements the rule for changes of authority: nobody may grant, remove or deny a
// privilege that it does not have itself.
//
// For a principal whose privileges change from before to after, it returns the privileges that
// change and that are not in has, sorted. A privilege that exists only in one of the two
// vocabularies, because an extension that declares it appears or disappears, does not count: nobody
// has it in the other state. A privilege that a role names counts even if no extension declares it:
// see Authority.
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

// Grantor is the principal on whose behalf permissions and roles are changed. The zero value has no
// authority, so its changes are refused.
type Grantor struct {
	By  event.Actor // the actor in events
	Who Subject
	// Groups returns the groups of a user. Their permissions apply to the user if its own
	// permission is removed. If nil, users are in no groups.
	Groups func(principal.Name) []string

	server bool
}

// Server returns the grantor of changes that the server makes itself. They are always allowed.
func Server(by event.Actor) Grantor { return Grantor{By: by, server: true} }

// GrantError is returned for a change of authority that the grantor does not have itself.
type GrantError struct{ Lacks []Privilege }

func (e *GrantError) Error() string {
	return "change of authority that the caller does not have: " + strings.Join(Names(e.Lacks...), ", ")
}

// mayChange checks whether g may change the document from before to after.
func (g Grantor) mayChange(before, after *snapshot) error {
	if g.server {
		return nil
	}
	has := before.privileges(&g.Who)
	var lacks []Privilege
	for _, p := range changed(before, after) {
		lacks = append(lacks, Lacking(has, g.effect(before, p), g.effect(after, p))...)
	}
	// A role that nobody has is checked as well, because somebody else may be about to grant it.
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

// changed returns the principals whose permission, or whose role, differs between before and after,
// by the id of the permission.
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

// effect returns the privileges that the snapshot gives to the principal of the permission. A
// principal without a domain is an extension, which also has the privileges of every extension.
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

// judge calls mayChange for one attempt of a change.
func (t *Table) judge(g Grantor, before state, after *document) error {
	words := t.now.Load().words.with(before.doc, after)
	err := g.mayChange(newSnapshot(before, words), newSnapshot(state{doc: after, revision: before.revision}, words))
	if err != nil {
		return fmt.Errorf("change authority: %w", err)
	}
	return nil
}
