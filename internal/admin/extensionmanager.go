package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/extension"
	"github.com/vigate/vigate/internal/locale"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/vim"
)

// extensionManager describes the managed object ExtensionManager.
func (a *api) extensionManager() *vim.Object {
	return &vim.Object{
		Type: "ExtensionManager", ID: "ExtensionManager",
		Methods: []vim.Method{
			vim.NewMethod("FindExtension", vim.View, a.findExtension),
			vim.NewMethod("GetPublicKey", vim.View, a.getPublicKey),
			vim.NewMethod("QueryExtensionIpAllocationUsage", vim.View, a.queryExtensionIPAllocationUsage),
			vim.NewMethod("QueryManagedBy", vim.View, a.queryManagedBy),
			vim.NewVoid("RegisterExtension", access.ExtensionRegister, a.registerExtension, vim.Audited,
				vim.ChangesAuthority(ruleRegister), vim.Faults("InvalidArgument")),
			vim.NewVoid("SetExtensionCertificate", access.ExtensionUpdate, a.setExtensionCertificate, vim.Audited,
				vim.ChangesAuthority(ruleWayIn), vim.Faults("NotFound", "InvalidArgument", "NoClientCertificate")),
			vim.NewVoid("SetPublicKey", access.ExtensionUpdate, a.setPublicKey, vim.Audited,
				vim.ChangesAuthority(ruleWayIn), vim.Faults("NotFound", "InvalidArgument")),
			vim.NewVoid("UnregisterExtension", access.ExtensionUnregister, a.unregisterExtension, vim.Audited,
				vim.ChangesAuthority(ruleUnregister), vim.Faults("NotFound")),
			vim.NewVoid("UpdateExtension", access.ExtensionUpdate, a.updateExtension, vim.Audited,
				vim.ChangesAuthority(ruleUpdate), vim.Faults("NotFound", "InvalidArgument")),
		},
		Properties: []vim.Property{
			vim.NewProperty("extensionList", vim.View, a.extensionList, vim.Watched(a.extensionsChanged)),
		},
		Errors: extensionErrors,
	}
}

// extensionErrors maps the errors of extensions to faults.
var extensionErrors = []vim.Mapping{
	lastAdministrator, tooMany,
	vim.Map(extension.ErrNotFound, vim.Plain[types.NotFound]),
	vim.Map(extension.ErrExists, vim.Argument("extension.key", "is taken, or looks like a name that is taken")),
	vim.Map(extension.ErrTooMany, vim.Plain[types.LimitExceeded]),
	vim.Map(extension.ErrKey, vim.Argument("extension.key", "is not a valid key")),
	vim.Map(extension.ErrSubjectName, vim.Argument("extension.subjectName", "is not a distinguished name")),
	vim.Map(extension.ErrPrivilege, vim.Argument("extension.privilegeList", "has a wrong privilege, or one twice")),
	vim.Map(extension.ErrData, vim.Argument("extension", "has too much data")),
	vim.Map(extension.ErrText, vim.Argument("extension", "has a text with invisible characters")),
	vim.Map(extension.ErrBadCertificate, vim.Argument("certificatePem", "is not one certificate")),
	vim.Map(extension.ErrBadPublicKey, vim.Argument("publicKey", "is not a public key")),
}

func (a *api) extensionsChanged(*vim.Call) <-chan struct{} { return a.Extensions.Changed() }

// registration converts an extension to its stored form: the members that the server uses, and the
// whole extension as JSON.
func registration(c *vim.Call, x *types.Extension) (extension.Registration, error) {
	c.Note("extension", x.Key)
	if x.Description == nil {
		return extension.Registration{}, vim.InvalidArgument("extension.description", errors.New("unset"))
	}
	r := extension.Registration{Key: x.Key, SubjectName: x.SubjectName}
	for _, p := range x.PrivilegeList {
		r.Privileges = append(r.Privileges, extension.Privilege{ID: p.PrivID, Group: p.PrivGroupName})
	}
	var b bytes.Buffer
	if err := types.NewJSONEncoder(&b).Encode(*x); err != nil {
		return extension.Registration{}, vim.InvalidArgument("extension", err)
	}
	r.Data = b.Bytes()
	return r, nil
}

// extensionCache caches decoded extensions until they change, because all of them together can have
// megabytes.
type extensionCache struct {
	mu  sync.Mutex // guards all
	all map[string]*decodedExtension
}

// decodedExtension is shared and must not be modified.
type decodedExtension struct {
	*types.Extension
	revision uint64
}

func (c *extensionCache) get(e extension.Extension) *types.Extension {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := c.all[e.Key]; d != nil && d.revision == uint64(e.Revision) {
		return d.Extension
	}
	return nil
}

func (c *extensionCache) put(e extension.Extension, x *types.Extension) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil || len(c.all) >= 2*extension.MaxExtensions {
		c.all = map[string]*decodedExtension{} // many of them were unregistered
	}
	c.all[e.Key] = &decodedExtension{x, uint64(e.Revision)}
}

// apiExtension returns the extension as it was registered. The server sets the time of the last
// heartbeat to the time of the last registration or update. The result must not be modified.
func (a *api) apiExtension(ctx context.Context, c *vim.Call, e extension.Extension) (*types.Extension, error) {
	if x := a.cache.get(e); x != nil {
		return x, nil
	}
	const each = 64 // bytes to decode per unit of work
	if err := a.Work(ctx, c, len(e.Data)/each); err != nil {
		return nil, err
	}
	x := &types.Extension{}
	if err := types.NewJSONDecoder(bytes.NewReader(e.Data)).Decode(x); err != nil {
		return nil, &unreadableError{e.Key, err}
	}
	x.Key, x.LastHeartbeatTime = e.Key, e.Updated.UTC()
	a.cache.put(e, x)
	return x, nil
}

// unreadableError means that the stored form of an extension can't be decoded.
type unreadableError struct {
	key string
	err error
}

func (e *unreadableError) Error() string { return fmt.Sprintf("read extension %q: %v", e.key, e.err) }

func (e *unreadableError) Unwrap() error { return e.err }

func (a *api) extensionList(ctx context.Context, c *vim.Call) ([]types.Extension, error) {
	var all []types.Extension
	for _, e := range a.Extensions.List() {
		x, err := a.apiExtension(ctx, c, e)
		if err != nil {
			return nil, err
		}
		const each = 256 // bytes to return per unit of work
		if err := a.Work(ctx, c, 1+len(e.Data)/each); err != nil {
			return nil, err
		}
		all = append(all, *x)
	}
	return all, nil
}

func (a *api) findExtension(
	ctx context.Context, c *vim.Call, r *types.FindExtensionRequestType,
) (*types.Extension, error) {
	e, ok := a.Extensions.Find(r.ExtensionKey)
	if !ok {
		return nil, nil
	}
	return a.apiExtension(ctx, c, e)
}

func (a *api) registerExtension(ctx context.Context, c *vim.Call, r *types.RegisterExtensionRequestType) error {
	reg, err := registration(c, &r.Extension)
	if err != nil {
		return err
	}
	if err := a.judgeRegister(c, reg); err != nil {
		return err
	}
	return a.Extensions.Register(ctx, c.Session.Actor(), reg)
}

func (a *api) updateExtension(ctx context.Context, c *vim.Call, r *types.UpdateExtensionRequestType) error {
	reg, err := registration(c, &r.Extension)
	if err != nil {
		return err
	}
	if err := a.judgeUpdate(c, reg); err != nil {
		return err
	}
	return a.Extensions.Update(ctx, c.Session.Actor(), reg, ownSession(c, reg.Key))
}

func (a *api) unregisterExtension(ctx context.Context, c *vim.Call, r *types.UnregisterExtensionRequestType) error {
	c.Note("extension", r.ExtensionKey)
	if err := a.judgeUnregister(c, r.ExtensionKey); err != nil {
		return err
	}
	return a.Extensions.Unregister(ctx, c.Session.Actor(), r.ExtensionKey)
}

// setExtensionCertificate sets the certificate of the request or, if it has none, the client
// certificate of the caller's connection.
func (a *api) setExtensionCertificate(
	ctx context.Context, c *vim.Call, r *types.SetExtensionCertificateRequestType,
) error {
	c.Note("extension", r.ExtensionKey)
	certificate := []byte(r.CertificatePem)
	if len(certificate) == 0 {
		if len(c.Peer.Certificates) == 0 {
			return vim.NewFault(&types.NoClientCertificate{}, nil)
		}
		certificate = c.Peer.Certificates[0].Raw
	}
	if err := a.judgeExtension(c, r.ExtensionKey); err != nil {
		return err
	}
	own := ownSession(c, r.ExtensionKey)
	return a.Extensions.SetCertificate(ctx, c.Session.Actor(), r.ExtensionKey, certificate, own)
}

// ownSession returns the key of the caller's session if the caller is the extension itself, and ""
// otherwise. This session stays when the extension changes its credentials.
func ownSession(c *vim.Call, key string) string {
	identity, origin := c.Session.Who()
	if origin == nil && identity.Extension && identity.Name.Equal(principal.Extension(key)) {
		return c.Session.Key().String()
	}
	return ""
}

func (a *api) setPublicKey(ctx context.Context, c *vim.Call, r *types.SetPublicKeyRequestType) error {
	c.Note("extension", r.ExtensionKey)
	if err := a.judgeExtension(c, r.ExtensionKey); err != nil {
		return err
	}
	return a.Extensions.SetPublicKey(ctx, c.Session.Actor(), r.ExtensionKey, r.PublicKey)
}

// getPublicKey returns the server's public key, with which extensions verify the server's
// signatures.
func (a *api) getPublicKey(context.Context, *vim.Call, *types.GetPublicKeyRequestType) (string, error) {
	if a.PublicKey == nil {
		return "", vim.NotSupported("the server has no public key for extensions")
	}
	return a.PublicKey(), nil
}

// queryManagedBy returns nothing, because there are no entities that an extension could manage.
func (a *api) queryManagedBy(
	context.Context, *vim.Call, *types.QueryManagedByRequestType,
) ([]types.ManagedObjectReference, error) {
	return nil, nil
}

// queryExtensionIPAllocationUsage returns nothing, because there are no IP pools.
func (a *api) queryExtensionIPAllocationUsage(
	context.Context, *vim.Call, *types.QueryExtensionIpAllocationUsageRequestType,
) ([]types.ExtensionManagerIpAllocationUsage, error) {
	return nil, nil
}

// extensionName returns the principal of the extension with the key.
func (a *api) extensionName(key string) (principal.Name, bool) {
	e, ok := a.Extensions.Find(key)
	if !ok {
		return principal.Name{}, false
	}
	return e.Principal(), true
}

// resources returns the texts of all extensions for a module, in the caller's language or else in
// the default language. If several extensions have a text for the same key, the first one is used.
func (a *api) resources(ctx context.Context, c *vim.Call, module, messageLocale string) (map[string]string, error) {
	texts := map[string]string{}
	for _, e := range a.Extensions.List() {
		x, err := a.apiExtension(ctx, c, e)
		if _, unreadable := errors.AsType[*unreadableError](err); unreadable {
			continue // extensionList reports the error
		} else if err != nil {
			return nil, err
		}
		own := map[string]string{}
		for _, in := range []string{locale.Default, messageLocale} {
			for _, r := range x.ResourceList {
				if r.Module != module || r.Locale != in {
					continue
				}
				if err := a.Work(ctx, c, len(r.Data)); err != nil {
					return nil, err
				}
				for _, kv := range r.Data {
					own[kv.Key] = kv.Value
				}
			}
		}
		for key, text := range own {
			if _, taken := texts[key]; !taken {
				texts[key] = text
			}
		}
	}
	return texts, nil
}
