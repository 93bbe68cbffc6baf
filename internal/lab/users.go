package lab

import (
	"context"
	"errors"
	"fmt"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/serve"
)

// origin is the user that events name for changes by the lab itself.
const origin = "vigate-lab"

// The users of a lab, besides those that a test adds.
const (
	Administrator = "administrator@vsphere.local"
	Reader        = "reader@vsphere.local"
	Leaker        = "svc-leak@vsphere.local" // a service account whose sessions nobody ends
)

// User is a local user of the server.
type User struct {
	Name     string // with or without domain
	Password secret.Text
	FullName string
	Role     string // a role's name, on the root folder; "": none
}

// Role is a set of privileges.
type Role struct {
	Name       string
	Privileges []string
}

// found creates the roles and the users.
func found(ctx context.Context, n *serve.Node, roles []Role, users []User) error {
	by := event.By(origin)
	for _, r := range roles {
		var ids []access.Privilege
		for _, p := range r.Privileges {
			ids = append(ids, access.Privilege(p))
		}
		if _, err := n.Access.AddRole(ctx, access.Server(by), r.Name, ids); err != nil {
			return fmt.Errorf("make role %q: %w", r.Name, err)
		}
	}
	for _, u := range users {
		name, err := principal.Parse(u.Name, n.DefaultDomain())
		if err == nil {
			err = n.Accounts.Create(ctx, by, name, []byte(u.Password.Reveal()), u.FullName)
		}
		if err == nil && u.Role != "" {
			err = grant(ctx, n, u.Name, u.Role)
		}
		if err != nil {
			return fmt.Errorf("make user %q: %w", u.Name, err)
		}
	}
	return nil
}

// Grant gives the user the role on the root folder, in place of the one that it had. If the role is empty, the
// user has none.
func (s *Server) Grant(ctx context.Context, user, role string) error {
	if err := grant(ctx, s.node, user, role); err != nil {
		return fmt.Errorf("set role of user %q: %w", user, err)
	}
	return nil
}

func grant(ctx context.Context, n *serve.Node, user, role string) error {
	name, err := principal.Parse(user, n.DefaultDomain())
	if err != nil {
		return err
	}
	by := access.Server(event.By(origin))
	if role == "" {
		err := n.Access.RemovePermission(ctx, by, access.Root, name, false)
		if errors.Is(err, access.ErrPermission) {
			return nil
		}
		return err
	}
	for _, r := range n.Access.Roles() {
		if r.Name == role {
			return n.Access.SetPermissions(ctx, by, access.Root,
				[]access.Permission{{Principal: name, Role: r.ID, Propagate: true}})
		}
	}
	return fmt.Errorf("%q: %w", role, access.ErrRole)
}
