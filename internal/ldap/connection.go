package ldap

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// Object identifiers of Active Directory.
const (
	activeDirectory      = "1.2.840.113556.1.4.800"  // a capability: the server is one
	matchingRuleInChain  = "1.2.840.113556.1.4.1941" // follows members of members
	supportedCapability  = "supportedCapabilities"
	permanentlyLocked    = "000001010000Z"
	beheraChangePassword = 2 // error of a password policy: the password must be changed first
)

// errLost means that the server did not answer, or answered that it can't serve now. The connection
// can't be used any more, and another server may give the answer.
var errLost = errors.New("connection to the directory was lost")

// errRefused means that the directory refused a name and password.
var errRefused = errors.New("directory refused the bind")

// connection is a connection to one server. It is used by one goroutine at a time.
type connection struct {
	server  *server
	conn    *ldap.Conn
	wire    *wire
	born    time.Time
	idle    time.Time // since when it is not in use
	used    bool      // an operation has succeeded on it
	request time.Duration
	chain   bool // the server has the matching rule that follows members of members
}

// run calls f, which uses the connection, and makes it fail as soon as ctx ends.
func (c *connection) run(ctx context.Context, f func() error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", errLost, context.Cause(ctx))
	}
	c.wire.left.Store(maxReply)
	stop := context.AfterFunc(ctx, func() { _ = c.wire.Conn.Close() })
	err := f()
	if !stop() {
		return fmt.Errorf("%w: %w", errLost, errors.Join(context.Cause(ctx), err))
	}
	return err
}

// close closes the connection. It does not wait for the server.
func (c *connection) close() {
	_ = c.wire.Conn.Close()
	_ = c.conn.Close()
}

// recognize finds out what the server can do. A server that does not say is taken for one that can do
// no more than others.
func (c *connection) recognize() error {
	found, _, err := c.find(query{scope: ldap.ScopeBaseObject, filter: "(objectClass=*)", limit: 1,
		attributes: []string{supportedCapability}})
	if errors.Is(err, errLost) {
		return err
	}
	if err == nil && len(found) == 1 {
		c.chain = slices.Contains(values(found[0], supportedCapability), activeDirectory)
	}
	return nil
}

// query is a search.
type query struct {
	base       string
	scope      int
	filter     string
	limit      int // entries
	attributes []string
}

// find returns the entries that match. more reports that there are more than the limit. References
// to other servers are ignored, and aliases are not followed: both could lead out of the base.
func (c *connection) find(q query) (_ []*ldap.Entry, more bool, _ error) {
	r := ldap.NewSearchRequest(q.base, q.scope, ldap.NeverDerefAliases, q.limit,
		max(int(c.request/time.Second), 1), false, q.filter, q.attributes, nil)
	r.EnforceSizeLimit = true
	result, err := c.conn.Search(r)
	switch {
	case errors.Is(err, ldap.ErrSizeLimitExceeded), ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded):
		return result.Entries, true, nil
	case err != nil:
		return nil, false, fmt.Errorf("search %q: %w", q.base, lost(err))
	}
	return result.Entries, false, nil
}

// bind checks a name and password. It returns errRefused, wrapped, if the directory refuses them. The
// connection then belongs to nobody, or to the user: it must not be used to search.
func (c *connection) bind(dn, password string) error {
	r := ldap.NewSimpleBindRequest(dn, password, []ldap.Control{ldap.NewControlBeheraPasswordPolicy()})
	result, err := c.conn.SimpleBind(r)
	if err == nil {
		policy := ldap.FindControl(result.Controls, ldap.ControlTypeBeheraPasswordPolicy)
		if policy, ok := policy.(*ldap.ControlBeheraPasswordPolicy); ok && policy.Error == beheraChangePassword {
			return fmt.Errorf("%w: the password must be changed", errRefused)
		}
		return nil
	}
	e, ok := errors.AsType[*ldap.Error](err)
	if ok && slices.Contains(refusals, e.ResultCode) {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	return fmt.Errorf("bind: %w", lost(err))
}

// refusals are the results of a bind that say something about the name or the password. Different
// products use different ones for wrong passwords and for locked or disabled users.
var refusals = []uint16{
	ldap.LDAPResultInvalidCredentials, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInvalidDNSyntax,
	ldap.LDAPResultInappropriateAuthentication, ldap.LDAPResultInsufficientAccessRights,
	ldap.LDAPResultConstraintViolation, ldap.LDAPResultUnwillingToPerform,
}

// lost adds errLost to an error of the connection, if the answer to the request is not known.
func lost(err error) error {
	e, ok := errors.AsType[*ldap.Error](err)
	if ok {
		switch e.ResultCode {
		case ldap.ErrorNetwork, ldap.ErrorUnexpectedMessage, ldap.ErrorUnexpectedResponse,
			ldap.LDAPResultBusy, ldap.LDAPResultUnavailable, ldap.LDAPResultServerDown:
		default:
			return err
		}
	}
	return fmt.Errorf("%w: %w", errLost, err)
}

// wire carries the bytes of a connection, below TLS. It bounds how much a server may send for one
// operation, and how long the server may take to accept bytes.
type wire struct {
	net.Conn
	left atomic.Int64
}

var errReply = errors.New("the server sends too much")

func (w *wire) Read(b []byte) (int, error) {
	if w.left.Load() <= 0 {
		return 0, errReply
	}
	n, err := w.Conn.Read(b)
	w.left.Add(int64(-n))
	return n, err
}

func (w *wire) Write(b []byte) (int, error) {
	if err := w.Conn.SetWriteDeadline(time.Now().Add(requestTimeout)); err != nil {
		return 0, err
	}
	return w.Conn.Write(b)
}
