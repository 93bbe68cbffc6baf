package access

import (
	"slices"
	"unicode/utf8"

	"github.com/vigate/vigate/internal/principal"
)

// Subject is whose authority is asked for.
type Subject struct {
	Principal principal.Name
	// Groups are the groups it is in, as principal.Name.String spells them.
	Groups []string
	// Extension: the session of an extension, logged in as itself.
	Extension bool
}

// snapshot is all authority of one instant. It never changes.
type snapshot struct {
	words     *vocabulary
	doc       *document
	users     map[string]*grant // by principal.Name.Key
	groups    map[string]*grant
	extension *grant // what being an extension grants
}

// grant is what one role gives.
type grant struct {
	set Set
	// none: the role is NoAccess, which is not an effective role.
	none bool
}

func newSnapshot(doc *document, words *vocabulary) *snapshot {
	s := &snapshot{words: words, doc: doc, users: map[string]*grant{}, groups: map[string]*grant{}}
	s.extension = &grant{set: words.set(ImpersonateUser)}
	roles := map[int32]*grant{}
	for _, r := range systemRoles {
		roles[r.id] = &grant{set: r.set(words), none: r.id == NoAccess}
	}
	for _, r := range doc.Roles {
		roles[r.ID] = &grant{set: words.set(slices.Concat(r.Privileges, implied)...)}
	}
	for _, p := range doc.Permissions {
		of := s.users
		if p.Group {
			of = s.groups
		}
		of[p.name().Key()] = roles[p.Role]
	}
	return s
}

// Has reports whether the subject has the privilege on the root folder, as of
// the newest change. It takes no lock and allocates nothing.
//
// It knows nothing of sessions: that System.Anonymous is anyone's, and
// System.View that of any live session, is for the caller to know.
func (t *Table) Has(who Subject, privilege string) bool {
	s := t.now.Load()
	own := s.own(who)
	switch {
	case own != nil && own.none:
		return false
	case who.Extension && s.extension.set.Has(privilege):
		return true
	case own != nil:
		return own.set.Has(privilege)
	}
	for _, name := range who.Groups {
		if g := s.group(name); g != nil && g.set.Has(privilege) {
			return true
		}
	}
	return false
}

// Privileges returns all that the subject has on the root folder.
func (t *Table) Privileges(who Subject) Set {
	s := t.now.Load()
	all := s.words.set()
	own := s.own(who)
	if own != nil && own.none {
		return all
	}
	if who.Extension {
		all.add(s.extension.set)
	}
	if own != nil {
		all.add(own.set)
		return all
	}
	for _, name := range who.Groups {
		if g := s.group(name); g != nil {
			all.add(g.set)
		}
	}
	return all
}

// HasRole reports whether the subject has an effective role on the root folder:
// one that is not NoAccess. An extension has one by being registered, unless a
// permission names it and says NoAccess.
func (t *Table) HasRole(who Subject) bool {
	s := t.now.Load()
	if own := s.own(who); own != nil {
		return !own.none
	}
	return who.Extension || slices.ContainsFunc(who.Groups, func(name string) bool {
		g := s.group(name)
		return g != nil && !g.none
	})
}

// own is what the subject's own permission grants, nil where it has none.
func (s *snapshot) own(who Subject) *grant {
	var buf [128]byte
	key, plain := buf[:0], true
	if who.Principal.Domain != "" {
		key, plain = appendLower(key, who.Principal.Domain)
		key = append(key, '\\')
	}
	if plain {
		key, plain = appendLower(key, who.Principal.User)
	}
	if !plain {
		return s.users[who.Principal.Key()]
	}
	return s.users[string(key)]
}

func (s *snapshot) group(name string) *grant {
	if len(s.groups) == 0 {
		return nil
	}
	var buf [128]byte
	key, plain := appendLower(buf[:0], name)
	if !plain {
		return s.groups[principal.Name{User: name}.Key()]
	}
	return s.groups[string(key)]
}

// appendLower is strings.ToLower for ASCII, without its garbage. It gives up on
// anything else.
func appendLower(b []byte, s string) ([]byte, bool) {
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= utf8.RuneSelf:
			return b, false
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	return b, true
}
