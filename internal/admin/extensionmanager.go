package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/extension"
	"github.com/vigate/vigate/internal/locale"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/vim"
)

// extensionManager is the programs that are registered with the server.
func (a *api) extensionManager() *vim.Object {
	return &vim.Object{
		Type: "ExtensionManager", ID: "ExtensionManager",
		Methods: []vim.Method{
			vim.NewMethod("FindExtension", vim.View, a.findExtension),
			vim.NewMethod("GetPublicKey", vim.View, a.getPublicKey),
			vim.NewMethod("QueryExtensionIpAllocationUsage", vim.View, a.queryExtensionIPAllocationUsage),
			vim.NewMethod("QueryManagedBy", vim.View, a.queryManagedBy),
			vim.NewVoid("RegisterExtension", access.ExtensionRegister, a.registerExtension, vim.Audited, vim.ChangesAuthority(ruleRegister), vim.Faults("InvalidArgument")),
			vim.NewVoid("SetExtensionCertificate", access.ExtensionUpdate, a.setExtensionCertificate, vim.Audited, vim.ChangesAuthority(ruleWayIn), vim.Faults("NotFound", "InvalidArgument", "NoClientCertificate")),
			vim.NewVoid("SetPublicKey", access.ExtensionUpdate, a.setPublicKey, vim.Audited, vim.ChangesAuthority(ruleWayIn), vim.Faults("NotFound", "InvalidArgument")),
			vim.NewVoid("UnregisterExtension", access.ExtensionUnregister, a.unregisterExtension, vim.Audited, vim.ChangesAuthority(ruleUnregister), vim.Faults("NotFound")),
			vim.NewVoid("UpdateExtension", access.ExtensionUpdate, a.updateExtension, vim.Audited, vim.ChangesAuthority(ruleUpdate), vim.Faults("NotFound", "InvalidArgument")),
		},
		Properties: []vim.Property{
			vim.NewProperty("extensionList", vim.View, a.extensionList, vim.Watched(a.extensionsChanged)),
		},
		Errors: extensionErrors,
	}
}

// extensionErrors are those of extensions.
var extensionErrors = []vim.Mapping{
	lastAdministrator, tooMany,
	vim.Map(extension.ErrNotFound, vim.Plain[types.NotFound]),
	vim.Map(extension.ErrExists, vim.Argument("extension.key")),
	vim.Map(extension.ErrTooMany, vim.Plain[types.LimitExceeded]),
	vim.Map(extension.ErrKey, vim.Argument("extension.key")),
	vim.Map(extension.ErrSubjectName, vim.Argument("extension.subjectName")),
	vim.Map(extension.ErrPrivilege, vim.Argument("extension.privilegeList")),
	vim.Map(extension.ErrData, vim.Argument("extension")),
	vim.Map(extension.ErrText, vim.Argument("extension")),
	vim.Map(extension.ErrBadCertificate, vim.Argument("certificatePem")),
	vim.Map(extension.ErrBadPublicKey, vim.Argument("publicKey")),
}

func (a *api) extensionsChanged(*vim.Call) <-chan struct{} { return a.Extensions.Changed() }

// registration is what is kept of an extension: a few facts that the server goes
// by, and all of it as the API writes it.
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

// apiExtension is the extension as it was registered. Its heartbeat is what the
// server knows: when it was last registered or updated.
func apiExtension(e extension.Extension) (*types.Extension, error) {
	x := &types.Extension{}
	if err := types.NewJSONDecoder(bytes.NewReader(e.Data)).Decode(x); err != nil {
		return nil, fmt.Errorf("read extension %q: %w", e.Key, err)
	}
	x.Key, x.LastHeartbeatTime = e.Key, e.Updated.UTC()
	return x, nil
}

func (a *api) extensionList(context.Context, *vim.Call) ([]types.Extension, error) {
	var all []types.Extension
	for _, e := range a.Extensions.List() {
		x, err := apiExtension(e)
		if err != nil {
			return nil, err
		}
		all = append(all, *x)
	}
	return all, nil
}

func (a *api) findExtension(_ context.Context, _ *vim.Call, r *types.FindExtensionRequestType) (*types.Extension, error) {
	e, ok := a.Extensions.Find(r.ExtensionKey)
	if !ok {
		return nil, nil
	}
	return apiExtension(e)
}

func (a *api) registerExtension(ctx context.Context, c *vim.Call, r *types.RegisterExtensionRequestType) error {
	reg, err := registration(c, &r.Extension)
	if err != nil {
		return err
	}
	if err := a.judgeRegister(c, reg); err != nil {
		return err
	}
	s := c.Session.Session()
	return a.Extensions.Register(ctx, s.Actor(), reg)
}

func (a *api) updateExtension(ctx context.Context, c *vim.Call, r *types.UpdateExtensionRequestType) error {
	reg, err := registration(c, &r.Extension)
	if err != nil {
		return err
	}
	if err := a.judgeUpdate(c, reg); err != nil {
		return err
	}
	s := c.Session.Session()
	return a.Extensions.Update(ctx, s.Actor(), reg, ownSession(c, reg.Key))
}

func (a *api) unregisterExtension(ctx context.Context, c *vim.Call, r *types.UnregisterExtensionRequestType) error {
	c.Note("extension", r.ExtensionKey)
	if err := a.judgeUnregister(c, r.ExtensionKey); err != nil {
		return err
	}
	s := c.Session.Session()
	return a.Extensions.Unregister(ctx, s.Actor(), r.ExtensionKey)
}

// setExtensionCertificate takes the certificate that is given, or else the one
// that the caller has presented on its connection.
func (a *api) setExtensionCertificate(ctx context.Context, c *vim.Call, r *types.SetExtensionCertificateRequestType) error {
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
	s := c.Session.Session()
	return a.Extensions.SetCertificate(ctx, s.Actor(), r.ExtensionKey, certificate, ownSession(c, r.ExtensionKey))
}

// ownSession is the key of the caller's session if it is the extension's own,
// which stays when the extension renews how it logs in; "" otherwise.
func ownSession(c *vim.Call, key string) string {
	s := c.Session.Session()
	if s.Origin == nil && s.Identity.Extension && s.Identity.Name.Equal(principal.Extension(key)) {
		return s.Key.String()
	}
	return ""
}

func (a *api) setPublicKey(ctx context.Context, c *vim.Call, r *types.SetPublicKeyRequestType) error {
	c.Note("extension", r.ExtensionKey)
	if err := a.judgeExtension(c, r.ExtensionKey); err != nil {
		return err
	}
	s := c.Session.Session()
	return a.Extensions.SetPublicKey(ctx, s.Actor(), r.ExtensionKey, r.PublicKey)
}

// getPublicKey is the server's own key, for extensions to check what it signs.
func (a *api) getPublicKey(context.Context, *vim.Call, *types.GetPublicKeyRequestType) (string, error) {
	if a.Server.PublicKey == nil {
		return "", vim.NotSupported("the server's public key is not configured to be told")
	}
	return a.Server.PublicKey(), nil
}

// queryManagedBy: there are no entities that an extension could manage.
func (a *api) queryManagedBy(context.Context, *vim.Call, *types.QueryManagedByRequestType) ([]types.ManagedObjectReference, error) {
	return nil, nil
}

// queryExtensionIPAllocationUsage: there are no pools to allocate from.
func (a *api) queryExtensionIPAllocationUsage(context.Context, *vim.Call, *types.QueryExtensionIpAllocationUsageRequestType) ([]types.ExtensionManagerIpAllocationUsage, error) {
	return nil, nil
}

// extensionName is the principal of the extension with the key.
func (a *api) extensionName(key string) (principal.Name, bool) {
	e, ok := a.Extensions.Find(key)
	if !ok {
		return principal.Name{}, false
	}
	return e.Principal(), true
}

// resources are the texts of a module that extensions bring in the language, or
// in English where they have none in it. No extension speaks over another.
func (a *api) resources(module, messageLocale string) map[string]string {
	texts := map[string]string{}
	for _, e := range a.Extensions.List() {
		x, err := apiExtension(e)
		if err != nil {
			continue // extensionList tells
		}
		own := map[string]string{}
		for _, in := range []string{locale.Default, messageLocale} {
			for _, r := range x.ResourceList {
				if r.Module != module || r.Locale != in {
					continue
				}
				for _, kv := range r.Data {
					own[kv.Key] = kv.Value
				}
			}
		}
		maps.Copy(own, texts)
		texts = own
	}
	return texts
}
