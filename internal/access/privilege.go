package access

import (
	_ "embed"
	"slices"
	"strings"
)

// Privilege is one thing that a role can grant.
type Privilege struct {
	// ID is the API's name, such as Sessions.TerminateSession.
	ID string
	// Group is the API's privGroupName: the ID without its last part for the
	// API's own privileges, what the extension says for its own.
	Group string
	// OnParent: asked of the parent where the object doesn't exist yet.
	OnParent bool
}

// Name is the ID without its group.
func (p Privilege) Name() string {
	return strings.TrimPrefix(p.ID, p.Group+".")
}

// LabelKey is the key of the privilege's label and summary in a catalogue of
// messages.
func (p Privilege) LabelKey() string { return "privilege." + p.ID }

// The privileges that the rules of this program name.
const (
	SystemAnonymous         = "System.Anonymous"
	SystemView              = "System.View"
	SystemRead              = "System.Read"
	TerminateSession        = "Sessions.TerminateSession"
	ImpersonateUser         = "Sessions.ImpersonateUser"
	ValidateSession         = "Sessions.ValidateSession"
	GlobalMessage           = "Sessions.GlobalMessage"
	CollectPrivilegeChecks  = "Sessions.CollectPrivilegeChecks"
	ExtensionRegister       = "Extension.Register"
	ExtensionUpdate         = "Extension.Update"
	ExtensionUnregister     = "Extension.Unregister"
	ModifyRoles             = "Authorization.ModifyRoles"
	ModifyPermissions       = "Authorization.ModifyPermissions"
	ReassignRolePermissions = "Authorization.ReassignRolePermissions"
	GlobalSettings          = "Global.Settings"
	GlobalLogEvent          = "Global.LogEvent"
	HostManageUserGroups    = "Host.Local.ManageUserGroups"
)

// enforced are the API's privileges that rows of this program name, in the order
// in which they are listed.
var enforced = []string{
	SystemAnonymous, SystemView, SystemRead, GlobalSettings, GlobalLogEvent, HostManageUserGroups,
	TerminateSession, ImpersonateUser, ValidateSession, GlobalMessage, CollectPrivilegeChecks,
	ExtensionRegister, ExtensionUpdate, ExtensionUnregister,
	ModifyRoles, ModifyPermissions, ReassignRolePermissions,
}

//go:embed privileges.txt
var published string

// builtin are all privileges of the API: the enforced ones, then those that only
// roles name. Clients define roles for other servers by them.
var builtin = readBuiltin(published)

func readBuiltin(text string) []Privilege {
	listed := map[string]Privilege{}
	var rest []string
	for line := range strings.Lines(text) {
		id, group, named := strings.Cut(strings.TrimSpace(line), " ")
		if id == "#" || id == "" {
			continue
		}
		if !named {
			group = id[:max(0, strings.LastIndexByte(id, '.'))]
		}
		listed[id] = Privilege{ID: id, Group: group}
		if !slices.Contains(enforced, id) {
			rest = append(rest, id)
		}
	}
	all := make([]Privilege, 0, len(listed))
	for _, id := range slices.Concat(enforced, rest) {
		all = append(all, listed[id])
	}
	return all
}

// implied are in every role that somebody made, as in vCenter.
var implied = []string{SystemAnonymous, SystemView, SystemRead}

// vocabulary is all privileges of one instant, numbered. It never changes.
type vocabulary struct {
	all   []Privilege
	index map[string]int
}

// newVocabulary numbers the API's privileges and those that extensions declare.
// An extension can't redefine a privilege that is there.
func newVocabulary(declared []Privilege) *vocabulary {
	v := &vocabulary{index: map[string]int{}}
	for _, list := range [][]Privilege{builtin, declared} {
		for _, p := range list {
			if _, ok := v.index[p.ID]; ok || p.ID == "" {
				continue
			}
			v.index[p.ID] = len(v.all)
			v.all = append(v.all, p)
		}
	}
	return v
}

// with is the vocabulary with all privileges that the roles of the documents name,
// those that no extension declares now included.
func (v *vocabulary) with(docs ...*document) *vocabulary {
	all := v.all
	for _, d := range docs {
		for _, r := range d.Roles {
			for _, id := range r.Privileges {
				if _, ok := v.index[id]; !ok {
					all = append(all[:len(all):len(all)], Privilege{ID: id})
				}
			}
		}
	}
	if len(all) == len(v.all) {
		return v
	}
	return newVocabulary(all[len(builtin):])
}

// set makes the set of the ids; those that nobody declares any more grant
// nothing.
func (v *vocabulary) set(ids ...string) Set {
	s := Set{words: v, bits: make([]uint64, (len(v.all)+63)/64)}
	for _, id := range ids {
		if i, ok := v.index[id]; ok {
			s.bits[i/64] |= 1 << (i % 64)
		}
	}
	return s
}

func (v *vocabulary) full() Set {
	s := v.set()
	for i := range v.all {
		s.bits[i/64] |= 1 << (i % 64)
	}
	return s
}

// Set is a set of privileges as of one instant. The zero value is empty.
type Set struct {
	words *vocabulary
	bits  []uint64
}

// Has reports whether the privilege is in the set. It allocates nothing.
func (s Set) Has(privilege string) bool {
	if s.words == nil {
		return false
	}
	i, ok := s.words.index[privilege]
	return ok && s.bits[i/64]&(1<<(i%64)) != 0
}

// knows reports whether there was such a privilege at the set's instant. The
// zero Set knows every one: that nobody has anything is true at any instant.
func (s Set) knows(privilege string) bool {
	if s.words == nil {
		return true
	}
	_, ok := s.words.index[privilege]
	return ok
}

// IDs are the privileges in the set, sorted.
func (s Set) IDs() []string {
	var ids []string
	if s.words != nil {
		for i, p := range s.words.all {
			if s.bits[i/64]&(1<<(i%64)) != 0 {
				ids = append(ids, p.ID)
			}
		}
	}
	slices.Sort(ids)
	return ids
}

// Covers reports whether every privilege of o is in s.
func (s Set) Covers(o Set) bool {
	for _, id := range o.IDs() {
		if !s.Has(id) {
			return false
		}
	}
	return true
}

// add puts all of o, of the same vocabulary, into s.
func (s Set) add(o Set) {
	for i, w := range o.bits {
		s.bits[i] |= w
	}
}
