package access

import (
	_ "embed"
	"slices"
	"strings"
)

// Privilege is the id of one thing that a role can grant, such as Sessions.TerminateSession. Only
// this package spells ids. Other packages use the constants or pass on ids from a client or an
// extension.
type Privilege string

// Privileges converts ids that a client or an extension sent, without checking them.
func Privileges(ids []string) []Privilege {
	all := make([]Privilege, len(ids))
	for i, id := range ids {
		all[i] = Privilege(id)
	}
	return all
}

// Names converts privileges to texts, for messages and for the API's types.
func Names(all ...Privilege) []string {
	names := make([]string, len(all))
	for i, p := range all {
		names[i] = string(p)
	}
	return names
}

// PrivilegeInfo describes a privilege to clients.
type PrivilegeInfo struct {
	ID Privilege
	// Group is the API's privGroupName. For the API's own privileges it is the ID without its last
	// part; an extension chooses it for its own.
	Group string
	// OnParent is set if the privilege is checked on the parent of an object that does not exist
	// yet.
	OnParent bool
}

// Name returns the ID without its group.
func (p PrivilegeInfo) Name() string {
	return strings.TrimPrefix(string(p.ID), p.Group+".")
}

// LabelKey returns the key of the privilege's label and summary in a message catalogue.
func (p PrivilegeInfo) LabelKey() string { return "privilege." + string(p.ID) }

// The privileges that this program refers to.
const (
	SystemAnonymous         Privilege = "System.Anonymous"
	SystemView              Privilege = "System.View"
	SystemRead              Privilege = "System.Read"
	TerminateSession        Privilege = "Sessions.TerminateSession"
	ImpersonateUser         Privilege = "Sessions.ImpersonateUser"
	ValidateSession         Privilege = "Sessions.ValidateSession"
	GlobalMessage           Privilege = "Sessions.GlobalMessage"
	CollectPrivilegeChecks  Privilege = "Sessions.CollectPrivilegeChecks"
	ExtensionRegister       Privilege = "Extension.Register"
	ExtensionUpdate         Privilege = "Extension.Update"
	ExtensionUnregister     Privilege = "Extension.Unregister"
	ModifyRoles             Privilege = "Authorization.ModifyRoles"
	ModifyPermissions       Privilege = "Authorization.ModifyPermissions"
	ReassignRolePermissions Privilege = "Authorization.ReassignRolePermissions"
	GlobalSettings          Privilege = "Global.Settings"
	GlobalLogEvent          Privilege = "Global.LogEvent"
	HostManageUserGroups    Privilege = "Host.Local.ManageUserGroups"
	AdministerCertificates  Privilege = "CertificateManagement.Administer"
)

// enforced lists the API's privileges that this program checks, in the order of the published list.
var enforced = []Privilege{
	SystemAnonymous, SystemView, SystemRead, GlobalSettings, GlobalLogEvent, HostManageUserGroups,
	TerminateSession, ImpersonateUser, ValidateSession, GlobalMessage, CollectPrivilegeChecks,
	ExtensionRegister, ExtensionUpdate, ExtensionUnregister,
	ModifyRoles, ModifyPermissions, ReassignRolePermissions, AdministerCertificates,
}

//go:embed privileges.txt
var published string

// builtin lists all privileges of the API: the enforced ones, then those that can only be named in
// roles, which clients need for roles that they define for other servers.
var builtin = readBuiltin(published)

func readBuiltin(text string) []PrivilegeInfo {
	listed := map[Privilege]PrivilegeInfo{}
	var rest []Privilege
	for line := range strings.Lines(text) {
		word, group, named := strings.Cut(strings.TrimSpace(line), " ")
		if word == "#" || word == "" {
			continue
		}
		if !named {
			group = word[:max(0, strings.LastIndexByte(word, '.'))]
		}
		id := Privilege(word)
		listed[id] = PrivilegeInfo{ID: id, Group: group}
		if !slices.Contains(enforced, id) {
			rest = append(rest, id)
		}
	}
	all := make([]PrivilegeInfo, 0, len(listed))
	for _, id := range slices.Concat(enforced, rest) {
		all = append(all, listed[id])
	}
	return all
}

// implied are the privileges of every custom role, as in vCenter.
var implied = []Privilege{SystemAnonymous, SystemView, SystemRead}

// vocabulary numbers all privileges that exist at one instant. It is immutable.
type vocabulary struct {
	all   []PrivilegeInfo
	index map[Privilege]int
}

// newVocabulary numbers the API's privileges and those that extensions declare. An extension can't
// redefine an existing privilege.
func newVocabulary(declared []PrivilegeInfo) *vocabulary {
	v := &vocabulary{index: map[Privilege]int{}}
	for _, list := range [][]PrivilegeInfo{builtin, declared} {
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

// with returns the vocabulary and all privileges that the roles of the documents name, including
// those that no extension declares now.
func (v *vocabulary) with(docs ...*document) *vocabulary {
	all := v.all
	for _, d := range docs {
		for _, r := range d.Roles {
			for _, id := range r.Privileges {
				if _, ok := v.index[id]; !ok {
					all = append(all[:len(all):len(all)], PrivilegeInfo{ID: id})
				}
			}
		}
	}
	if len(all) == len(v.all) {
		return v
	}
	return newVocabulary(all[len(builtin):])
}

// set returns the set of the ids. Ids that nobody declares any more grant nothing.
func (v *vocabulary) set(ids ...Privilege) Set {
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

// Set is a set of privileges at one instant. The zero value is empty.
type Set struct {
	words *vocabulary
	bits  []uint64
}

// Has reports whether the privilege is in the set. It does not allocate.
func (s Set) Has(privilege Privilege) bool {
	if s.words == nil {
		return false
	}
	i, ok := s.words.index[privilege]
	return ok && s.bits[i/64]&(1<<(i%64)) != 0
}

// knows reports whether the privilege existed at the set's instant. The zero Set knows every
// privilege, because an empty set is right at any instant.
func (s Set) knows(privilege Privilege) bool {
	if s.words == nil {
		return true
	}
	_, ok := s.words.index[privilege]
	return ok
}

// IDs returns the privileges in the set, sorted.
func (s Set) IDs() []Privilege {
	var ids []Privilege
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

// add adds all privileges of o to s. Both have the same vocabulary.
func (s Set) add(o Set) {
	for i, w := range o.bits {
		s.bits[i] |= w
	}
}
