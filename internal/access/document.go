package access

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/record"
	"github.com/vigate/vigate/internal/store"
)

// Limits of the document, which keep it below record.MaxSize, as names and privilege ids are short.
const (
	maxRoles = 500
	// MaxPermissions is the maximum number of permissions.
	MaxPermissions = 4000
	maxRoleName    = 100 // bytes
	maxName        = 480 // bytes of a principal's key
)

// All roles and all permissions on the root folder are stored in one record, the document.
//
// They are not stored as separate records, because a part of them may grant too much: a permission
// without its role, or a group's permission without the user's own that overrides it. With one
// record a change replaces it at the revision that the change was decided on. So a reader never
// sees half of a change, and no change can bypass the rule that one administrator must remain.
const formatVersion = 1

type document struct {
	NextRole    int32           `json:"nextRole"`
	Roles       []roleRow       `json:"roles"`
	Permissions []permissionRow `json:"permissions"`
	extra       record.Extra
	// merged are the names whose permissions were merged: see merge.
	merged []string
}

type roleRow struct {
	ID         int32       `json:"id"`
	Name       string      `json:"name"`
	Privileges []Privilege `json:"privileges"` // without the implied privileges
	extra      record.Extra
}

type permissionRow struct {
	Domain    string `json:"domain,omitempty"`
	User      string `json:"user"` // or the group's name
	Group     bool   `json:"group,omitempty"`
	Role      int32  `json:"role"`
	Propagate bool   `json:"propagate,omitempty"`
	extra     record.Extra
}

type (
	roleFields       roleRow
	permissionFields permissionRow
)

func (r *roleRow) UnmarshalJSON(b []byte) (err error) {
	r.extra, err = record.Unmarshal(b, (*roleFields)(r))
	return err
}

func (r roleRow) MarshalJSON() ([]byte, error) { return record.Marshal(roleFields(r), r.extra) }

func (p *permissionRow) UnmarshalJSON(b []byte) (err error) {
	p.extra, err = record.Unmarshal(b, (*permissionFields)(p))
	return err
}

func (p permissionRow) MarshalJSON() ([]byte, error) {
	return record.Marshal(permissionFields(p), p.extra)
}

var (
	_ json.Unmarshaler = (*roleRow)(nil)
	_ json.Unmarshaler = (*permissionRow)(nil)
)

func (p permissionRow) name() principal.Name {
	return principal.Name{Domain: p.Domain, User: p.User}
}

func (p permissionRow) public() Permission {
	return Permission{Principal: p.name(), Group: p.Group, Role: p.Role, Propagate: p.Propagate}
}

// id identifies a permission. It contains the kind, because a user and a group may have the same
// name.
func (p permissionRow) id() string { return p.kind() + p.name().Key() }

func (p permissionRow) kind() string {
	if p.Group {
		return "g:"
	}
	return "u:"
}

// decode decodes the document. It returns an error if the document is inconsistent, because then it
// is unclear what it should grant.
func decode(b []byte) (*document, error) {
	d := &document{}
	extra, err := record.Decode(b, formatVersion, d)
	if err != nil {
		return nil, err
	}
	d.extra = extra
	if err := d.check(); err != nil {
		return nil, err
	}
	d.merge()
	return d, nil
}

// merge merges permissions whose names an older version took for different ones and which are now
// the same. The merged permission gives NoAccess until somebody sets it again, because any other
// role would give one principal what was meant for the other.
func (d *document) merge() {
	first := map[string]int{}
	all := d.Permissions[:0:0]
	for _, p := range d.Permissions {
		i, again := first[p.id()]
		if !again {
			first[p.id()] = len(all)
			all = append(all, p)
			continue
		}
		all[i].Role = NoAccess
		d.merged = append(d.merged, all[i].name().String(), p.name().String())
	}
	d.Permissions = all
}

func (d *document) encode() ([]byte, error) {
	return record.Encode(formatVersion, d, d.extra)
}

func (d *document) check() error {
	if len(d.Roles) > maxRoles || len(d.Permissions) > MaxPermissions || d.NextRole < 1 {
		return errors.New("check permissions: a count is out of bounds")
	}
	ids, names := map[int32]bool{}, map[string]bool{}
	for _, r := range d.Roles {
		folded := strings.ToLower(r.Name) // as versions before principal.Fold did
		if r.ID < 1 || r.ID >= d.NextRole || ids[r.ID] || names[folded] || !validRoleName(r.Name) {
			return fmt.Errorf("check role %d: invalid or duplicate", r.ID)
		}
		ids[r.ID], names[folded] = true, true
	}
	seen := map[string]bool{}
	for i, p := range d.Permissions {
		id := p.kind() + p.name().FormerKey()
		if p.User == "" || seen[id] || d.roleName(p.Role) == "" {
			return fmt.Errorf("check permission %d: invalid or duplicate", i)
		}
		seen[id] = true
	}
	return nil
}

// clone returns a copy that can be edited. Rows must be replaced, not changed.
func (d *document) clone() *document {
	c := *d
	c.Roles = slices.Clone(d.Roles)
	c.Permissions = slices.Clone(d.Permissions)
	return &c
}

// roleName returns the name of the role with the id, or "".
func (d *document) roleName(id int32) string {
	if s := systemRole(id); s != nil {
		return s.name
	}
	if i := d.role(id); i >= 0 {
		return d.Roles[i].Name
	}
	return ""
}

// role returns the index of the custom role with the id, or -1.
func (d *document) role(id int32) int {
	return slices.IndexFunc(d.Roles, func(r roleRow) bool { return r.ID == id })
}

// places returns the indexes of all permissions by their ids, for changes of many permissions.
func (d *document) places() map[string]int {
	at := make(map[string]int, len(d.Permissions))
	for i, p := range d.Permissions {
		at[p.id()] = i
	}
	return at
}

// permission returns the index of the permission with the id, or -1.
func (d *document) permission(id string) int {
	return slices.IndexFunc(d.Permissions, func(p permissionRow) bool { return p.id() == id })
}

// write returns the change that replaces the document at the revision by d.
func (d *document) write(at store.Revision) (store.Change, error) {
	b, err := d.encode()
	if err != nil {
		return store.Change{}, err
	}
	if at == 0 {
		return store.Create(store.Permission, Root, b, time.Time{}), nil
	}
	return store.Update(store.Permission, Root, at, b, time.Time{}), nil
}

func validRoleName(s string) bool {
	return s != "" && len(s) <= maxRoleName && utf8.ValidString(s) && strings.TrimSpace(s) == s &&
		!strings.ContainsFunc(s, unicode.IsControl)
}
