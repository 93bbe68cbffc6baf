package wire

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/secret"
)

// Content is what the server says about itself to everybody.
type Content struct {
	Raw []byte // the body of the answer to RetrieveServiceContent, as the server sent it
	// Certificate is the one that the server showed; nil without TLS.
	Certificate *x509.Certificate
	types.ServiceContent
}

// serviceInstance is the one object whose reference is known in advance.
var serviceInstance = types.ManagedObjectReference{Type: "ServiceInstance", Value: "ServiceInstance"}

// retrieveContent calls RetrieveServiceContent without a session. It asks in the newest version that
// the server has, since an answer in an older one leaves out what is newer.
func retrieveContent(ctx context.Context, t *Transport, userAgent string) (*Content, error) {
	// An idle connection says nothing about the server: it may have ended.
	c := Client{Transport: t, UserAgent: userAgent, Fresh: true}
	content, err := c.content(ctx)
	if err != nil {
		return nil, err
	}
	if c.Version = content.Version(); c.Version != "" {
		return c.content(ctx)
	}
	return content, nil
}

// Version returns the newest version of the API that the server has, for Client.Version.
func (c *Content) Version() string {
	if v := c.About.ApiVersion; validVersion(v) {
		return v
	}
	return ""
}

// validVersion reports whether the version can be sent in a header.
func validVersion(v string) bool {
	for _, r := range v {
		if (r < '0' || r > '9') && r != '.' {
			return false
		}
	}
	return v != "" && len(v) < 32
}

func (c *Client) content(ctx context.Context) (*Content, error) {
	req := methods.RetrieveServiceContentBody{Req: &types.RetrieveServiceContent{This: serviceInstance}}
	var res methods.RetrieveServiceContentBody
	a, err := c.call(ctx, &req, &res)
	if err == nil && res.Res.Returnval.SessionManager == nil {
		err = errors.New("the server has no SessionManager")
	}
	if err != nil {
		return nil, fmt.Errorf("retrieve service content: %w", err)
	}
	content := &Content{Raw: a.body, ServiceContent: res.Res.Returnval}
	if state := a.response.TLS; state != nil && len(state.PeerCertificates) > 0 {
		content.Certificate = state.PeerCertificates[0]
	}
	return content, nil
}

// Session is a session of the server.
type Session struct {
	Key    secret.Text
	Cookie Cookie
	Info   types.UserSession // without the key
}

// Login logs in. The client must have no cookie. An error that wraps ErrUnreachable, a FaultError or
// a StatusError means that there is no session. After any other error there may be one.
func (c *Client) Login(ctx context.Context, manager types.ManagedObjectReference, user string, password secret.Text,
	locale string) (*Session, error) {
	req := methods.LoginBody{Req: &types.Login{
		This: manager, UserName: user, Password: password.Reveal(), Locale: locale,
	}}
	var res methods.LoginBody
	a, err := c.call(ctx, &req, &res)
	if err != nil {
		return nil, fmt.Errorf("log in: %w", err)
	}
	info := res.Res.Returnval
	s := &Session{Key: secret.New(info.Key), Info: info}
	s.Info.Key = ""
	var ok bool
	if s.Cookie, ok = cookieOf(a.response); !ok || s.Key.IsZero() {
		return nil, errors.New("log in: the answer has no session")
	}
	return s, nil
}

// Logout ends the session of the client's cookie. It is no error if the session has ended before.
func (c *Client) Logout(ctx context.Context, manager types.ManagedObjectReference) error {
	_, err := methods.Logout(ctx, c, &types.Logout{This: manager})
	if err != nil && !Ended(err) {
		return fmt.Errorf("log out: %w", err)
	}
	return nil
}

// ErrEnded means that the session of a call has ended.
var ErrEnded = errors.New("the session has ended")

// Ended reports whether the error says that the client's session has ended.
func Ended(err error) bool {
	_, ok := Fault[*types.NotAuthenticated](err)
	return ok
}

// Terminate ends the session with the key. It is no error if there is no such session.
func (c *Client) Terminate(ctx context.Context, manager types.ManagedObjectReference, key secret.Text) error {
	_, err := methods.TerminateSession(ctx, c, &types.TerminateSession{
		This: manager, SessionId: []string{key.Reveal()},
	})
	if _, none := Fault[*types.NotFound](err); err != nil && !none {
		return fmt.Errorf("terminate session: %w", err)
	}
	return nil
}

// CloneTicket returns a ticket for a copy of the session.
func (c *Client) CloneTicket(ctx context.Context, manager types.ManagedObjectReference) (secret.Text, error) {
	res, err := methods.AcquireCloneTicket(ctx, c, &types.AcquireCloneTicket{This: manager})
	if err != nil {
		return secret.Text{}, fmt.Errorf("acquire clone ticket: %w", err)
	}
	return secret.New(res.Returnval), nil
}

// CurrentTime is a cheap call that fails with NotAuthenticated if the session has ended.
func (c *Client) CurrentTime(ctx context.Context) (time.Time, error) {
	res, err := methods.CurrentTime(ctx, c, &types.CurrentTime{This: serviceInstance})
	if err != nil {
		return time.Time{}, fmt.Errorf("read time: %w", err)
	}
	return res.Returnval, nil
}

// CreateCollector makes a property collector on the session.
func (c *Client) CreateCollector(ctx context.Context, parent types.ManagedObjectReference) (
	types.ManagedObjectReference, error) {
	res, err := methods.CreatePropertyCollector(ctx, c, &types.CreatePropertyCollector{This: parent})
	if err != nil {
		return types.ManagedObjectReference{}, fmt.Errorf("create property collector: %w", err)
	}
	return res.Returnval, nil
}

// Message reads the service message of the server, through a collector of the session.
func (c *Client) Message(ctx context.Context, collector, manager types.ManagedObjectReference) (string, error) {
	res, err := methods.RetrievePropertiesEx(ctx, c, &types.RetrievePropertiesEx{
		This: collector,
		SpecSet: []types.PropertyFilterSpec{{
			PropSet:   []types.PropertySpec{{Type: manager.Type, PathSet: []string{"message"}}},
			ObjectSet: []types.ObjectSpec{{Obj: manager}},
		}},
	})
	if err != nil {
		return "", fmt.Errorf("read message: %w", err)
	}
	if res.Returnval == nil {
		return "", nil
	}
	for _, o := range res.Returnval.Objects {
		for _, p := range o.PropSet {
			if text, ok := p.Val.(string); ok {
				return text, nil
			}
		}
	}
	return "", nil // it is unset, or the user may not read it
}

// HasPrivileges reports which of the privileges the user of a session has on an object, in the order of
// the privileges.
func (c *Client) HasPrivileges(ctx context.Context, authorization, object types.ManagedObjectReference, key secret.Text,
	privileges []string) ([]bool, error) {
	res, err := methods.HasPrivilegeOnEntities(ctx, c, &types.HasPrivilegeOnEntities{
		This: authorization, Entity: []types.ManagedObjectReference{object}, SessionId: key.Reveal(),
		PrivId: privileges,
	})
	if err != nil {
		return nil, fmt.Errorf("ask privileges: %w", err)
	}
	has := make([]bool, len(privileges))
	for _, entity := range res.Returnval {
		for _, p := range entity.PrivAvailability {
			for i, name := range privileges {
				if p.PrivId == name && p.IsGranted {
					has[i] = true
				}
			}
		}
	}
	return has, nil
}
