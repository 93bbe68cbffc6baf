package access

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/principal"
)

var (
	// ErrEntity is returned if the entity is not Root.
	ErrEntity = errors.New("no such entity")
	// ErrPrincipal is returned if there is no such user or group.
	ErrPrincipal = errors.New("no such principal")
	// ErrPermission is returned if the principal has no permission of its own.
	ErrPermission = errors.New("no such permission")
	// ErrDuplicate is returned if one call names a principal twice.
	ErrDuplicate = errors.New("principal is named twice")
)

// Permissions returns all permissions in the order in which they were created.
func (t *Table) Permissions() []Permission {
	rows := t.now.Load().doc.Permissions
	all := make([]Permission, len(rows))
	for i, p := range rows {
		all[i] = p.public()
	}
	return all
}

// PermissionsOf returns the permissions that give the role. It returns ErrRole if there is no such
// role.
func (t *Table) PermissionsOf(role int32) ([]Permission, error) {
	doc := t.now.Load().doc
	if doc.roleName(role) == "" {
		return nil, fmt.Errorf("list permissions: %w", ErrRole)
	}
	var all []Permission
	for _, p := range doc.Permissions {
		if p.Role == role {
			all = append(all, p.public())
		}
	}
	return all, nil
}

// SetPermissions gives each principal the role, which replaces its previous role. Either all
// permissions are set or none.
//
// Errors: ErrEntity, ErrRole, ErrPrincipal, ErrDuplicate, ErrTooMany, and those of every change:
// see Manager.
func (m *Manager) SetPermissions(ctx context.Context, by Grantor, entity string, permissions []Permission) error {
	return m.edit(ctx, "set permissions", by, entity, permissions, func(d *document, rows []permissionRow) {
		at := d.places()
		for _, row := range rows {
			if i, ok := at[row.id()]; ok {
				row.extra = d.Permissions[i].extra
				d.Permissions[i] = row
				continue
			}
			d.Permissions = append(d.Permissions, row)
		}
	})
}

// ResetPermissions replaces all permissions by the given ones. Its errors are those of
// SetPermissions.
func (m *Manager) ResetPermissions(ctx context.Context, by Grantor, entity string, permissions []Permission) error {
	return m.edit(ctx, "reset permissions", by, entity, permissions, func(d *document, rows []permissionRow) {
		at := d.places()
		for k, row := range rows {
			if i, ok := at[row.id()]; ok {
				rows[k].extra = d.Permissions[i].extra
			}
		}
		d.Permissions = rows
	})
}

// RemovePermission removes the principal's permission.
//
// Errors: ErrEntity, ErrPermission, and those of every change: see Manager.
func (m *Manager) RemovePermission(
	ctx context.Context, by Grantor, entity string, who principal.Name, group bool,
) error {
	const what = "remove permission"
	if entity != Root {
		return fmt.Errorf("%s: %w", what, ErrEntity)
	}
	id := permissionRow{Domain: who.Domain, User: who.User, Group: group}.id()
	return m.change(ctx, what, by, func(d *document) ([]event.Event, error) {
		i := d.permission(id)
		if i < 0 {
			return nil, ErrPermission
		}
		gone := diff{{permission: d.Permissions[i], role: d.roleName(d.Permissions[i].Role), removed: true}}
		d.Permissions = slices.Delete(d.Permissions, i, i+1)
		return gone.events(by.By)
	})
}

// MergePermissions gives the role dst to all principals that have the role src.
//
// Errors: ErrRole, ErrTooMany, and those of every change: see Manager.
func (m *Manager) MergePermissions(ctx context.Context, by Grantor, src, dst int32) error {
	return m.change(ctx, "merge permissions", by, func(d *document) ([]event.Event, error) {
		if d.roleName(src) == "" || d.roleName(dst) == "" {
			return nil, ErrRole
		}
		before := d.clone()
		for i := range d.Permissions {
			if d.Permissions[i].Role == src {
				d.Permissions[i].Role = dst
			}
		}
		return compare(before, d).events(by.By)
	})
}

// edit checks the permissions and calls apply to put them into the document.
func (m *Manager) edit(ctx context.Context, what string, by Grantor, entity string, permissions []Permission,
	apply func(*document, []permissionRow)) error {
	if entity != Root {
		return fmt.Errorf("%s: %w", what, ErrEntity)
	}
	if len(permissions) > MaxPermissions {
		return fmt.Errorf("%s: %w", what, ErrTooMany)
	}
	return m.change(ctx, what, by, func(d *document) ([]event.Event, error) {
		rows, err := m.rows(d, permissions)
		if err != nil {
			return nil, err
		}
		before := d.clone()
		apply(d, rows)
		if len(d.Permissions) > MaxPermissions {
			return nil, ErrTooMany
		}
		return compare(before, d).events(by.By)
	})
}

// rows checks the permissions that a client has sent.
func (m *Manager) rows(d *document, permissions []Permission) ([]permissionRow, error) {
	rows := make([]permissionRow, len(permissions))
	seen := map[string]bool{}
	for i, p := range permissions {
		row := permissionRow{Domain: p.Principal.Domain, User: p.Principal.User, Group: p.Group,
			Role: p.Role, Propagate: p.Propagate}
		switch {
		case d.roleName(p.Role) == "":
			return nil, ErrRole
		case p.Principal.IsZero() || len(row.id()) > maxName || !utf8.ValidString(row.Domain+row.User):
			return nil, ErrPrincipal
		case seen[row.id()]:
			return nil, ErrDuplicate
		case !m.exists(p.Principal, p.Group):
			return nil, ErrPrincipal
		}
		seen[row.id()] = true
		rows[i] = row
	}
	return rows, nil
}

// diff is the effect of a change on permissions.
type diff []difference

type difference struct {
	permission permissionRow
	role       string // the name of the new or the removed role
	removed    bool
}

func compare(before, after *document) diff {
	old := map[string]permissionRow{}
	for _, p := range before.Permissions {
		old[p.id()] = p
	}
	var all diff
	for _, p := range after.Permissions {
		if was, ok := old[p.id()]; !ok || was.Role != p.Role || was.Propagate != p.Propagate {
			all = append(all, difference{permission: p, role: after.roleName(p.Role)})
		}
		delete(old, p.id())
	}
	for _, p := range before.Permissions {
		if _, gone := old[p.id()]; gone {
			all = append(all, difference{permission: p, role: before.roleName(p.Role), removed: true})
		}
	}
	return all
}

// Limits of the events of one commit: a shared store accepts about a hundred changes, and an
// event's subject has at most 512 bytes.
const (
	maxEvents  = 40
	maxSubject = 500
)

// events returns the events of the changes. There is one event for each permission or, if many
// principals get the same role, for as many as the subject of one event can name.
func (d diff) events(by event.Actor) ([]event.Event, error) {
	all := slices.Clone(d)
	slices.SortStableFunc(all, func(a, b difference) int {
		return cmp.Compare(a.kind(), b.kind())
	})
	var events []event.Event
	last := ""
	for _, x := range all {
		name, kind := x.permission.name().String(), x.kind()
		if n := len(events) - 1; n >= 0 && last == kind && len(d) > maxEvents &&
			len(events[n].Subject)+len(", ")+len(name) <= maxSubject {
			events[n].Subject += ", " + name
			continue
		}
		last = kind
		events = append(events, x.event(by, name))
	}
	if len(events) > maxEvents {
		return nil, ErrTooMany
	}
	return events, nil
}

// kind is equal for changes that one event can describe.
func (x difference) kind() string {
	return fmt.Sprint(x.removed, x.permission.Role, x.permission.Group, x.permission.Propagate)
}

func (x difference) event(by event.Actor, name string) event.Event {
	id := "vigate.permission.set"
	if x.removed {
		id = "vigate.permission.removed"
	}
	return event.Event{Type: "EventEx", ID: id, User: by.User, Origin: by.Origin, Subject: name,
		Args: map[string]string{
			"entity":    Root,
			"role":      x.role,
			"roleId":    strconv.Itoa(int(x.permission.Role)),
			"group":     strconv.FormatBool(x.permission.Group),
			"propagate": strconv.FormatBool(x.permission.Propagate),
		}}
}
