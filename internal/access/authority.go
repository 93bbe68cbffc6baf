package access

import (
	"slices"
	"unicode/utf8"

	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/store"
)

// Subject is the principal whose authority is asked for.
type Subject struct {
	Principal principal.Name
	// Groups are the groups of the principal, in the form of principal.Name.String.
	Groups []string
	// Extension is set for the session of an extension that logged in as itself.
	Extension bool
	// Origin is the principal that logged in, if it impersonates this one; otherwise nil. The
	// subject has authority only while Origin has Sessions.ImpersonateUser. Origin's own Origin is
	// ignored.
	Origin *Subject
}

// snapshot is the authority of all principals at one instant. It is immutable.
type snapshot struct {
	words     *vocabulary
	doc       *document
	users     map[string]*grant // by principal.Name.Key
	groups    map[string]*grant
	extension *grant // the privileges of every extension
	revision  store.Revision
	damaged   bool // the document can't be read: nobody has any privilege
}

// grant is what one role grants.
type grant struct {
	set Set
	// none is set if the role is NoAccess, which is not an effective role.
	none bool
}

func newSnapshot(of state, words *vocabulary) *snapshot {
	doc := of.doc
	s := &snapshot{
		words: words, doc: doc, users: map[string]*grant{}, groups: map[string]*grant{},
		revision: of.revision, damaged: of.damage != nil,
	}
	s.extension = &grant{set: words.set(SystemAnonymous, SystemView, ImpersonateUser)}
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

// Has reports whether the subject currently has the privilege on the root folder. It takes no lock
// and does not allocate.
func (t *Table) Has(who Subject, privilege Privilege) bool {
	return t.now.Load().has(&who, privilege)
}

func (s *snapshot) has(who *Subject, privilege Privilege) bool {
	return s.trusts(who) && s.grants(who, privilege)
}

// trusts reports whether the subject may have authority at all: the permissions can be read, the
// subject is no user of an upstream server, and an impersonator still has the privilege to impersonate.
func (s *snapshot) trusts(who *Subject) bool {
	if _, _, upstream := who.Principal.Upstream(); upstream {
		return false
	}
	return !s.damaged && (who.Origin == nil || s.grants(who.Origin, ImpersonateUser))
}

// grants reports whether permissions give the privilege to the subject.
func (s *snapshot) grants(who *Subject, privilege Privilege) bool {
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

// Privileges returns all privileges of the subject on the root folder.
func (t *Table) Privileges(who Subject) Set { return t.now.Load().privileges(&who) }

// Authority returns Privileges and, in addition, the privileges that the subject's roles name but
// no extension declares now. If somebody registers the extension again, for example in an upgrade,
// the subject has those, too. Changes of authority are judged by this set.
func (t *Table) Authority(who Subject) Set {
	now := t.state()
	words := t.now.Load().words.with(now.doc)
	return newSnapshot(now, words).privileges(&who)
}

func (s *snapshot) privileges(who *Subject) Set {
	all := s.words.set()
	own := s.own(who)
	if !s.trusts(who) || own != nil && own.none {
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

// HasRole reports whether the subject has an effective role on the root folder, that is, one other
// than NoAccess. A registered extension has one, unless a permission gives it NoAccess.
func (t *Table) HasRole(who Subject) bool {
	s := t.now.Load()
	if !s.trusts(&who) {
		return false
	}
	if own := s.own(&who); own != nil {
		return !own.none
	}
	return who.Extension || slices.ContainsFunc(who.Groups, func(name string) bool {
		g := s.group(name)
		return g != nil && !g.none
	})
}

// own returns what the subject's own permission grants, or nil if it has none.
func (s *snapshot) own(who *Subject) *grant {
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

// appendLower does the same as strings.ToLower for ASCII, but does not allocate. It returns false
// for any other text.
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
