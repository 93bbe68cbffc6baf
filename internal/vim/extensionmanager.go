package vim

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
)

// extensionManager is the programs that are registered with the server.
func (a *API) extensionManager() *Object {
	return &Object{
		Type: "ExtensionManager", ID: "ExtensionManager",
		Methods: []Method{
			NewMethod("FindExtension", View, a.findExtension),
			NewMethod("GetPublicKey", View, a.getPublicKey),
			NewMethod("QueryExtensionIpAllocationUsage", View, a.queryExtensionIPAllocationUsage),
			NewMethod("QueryManagedBy", View, a.queryManagedBy),
			NewVoid("RegisterExtension", access.ExtensionRegister, a.registerExtension, Audited, Faults("InvalidArgument")),
			NewVoid("SetExtensionCertificate", access.ExtensionUpdate, a.setExtensionCertificate, Audited, Faults("NotFound", "InvalidArgument", "NoClientCertificate")),
			NewVoid("SetPublicKey", access.ExtensionUpdate, a.setPublicKey, Audited, Faults("NotFound", "InvalidArgument")),
			NewVoid("UnregisterExtension", access.ExtensionUnregister, a.unregisterExtension, Audited, Faults("NotFound")),
			NewVoid("UpdateExtension", access.ExtensionUpdate, a.updateExtension, Audited, Faults("NotFound", "InvalidArgument")),
		},
		Properties: []Property{
			NewProperty("extensionList", View, a.extensionList, Watched(a.extensionsChanged)),
		},
	}
}

func (a *API) extensionsChanged(*Call) <-chan struct{} { return a.Extensions.Changed() }

// registration is what is kept of an extension: a few facts that the server goes
// by, and all of it as the API writes it.
func registration(c *Call, x *types.Extension) (extension.Registration, error) {
	c.Note("extension", x.Key)
	if x.Description == nil {
		return extension.Registration{}, InvalidArgument("extension.description", errors.New("unset"))
	}
	r := extension.Registration{Key: x.Key, SubjectName: x.SubjectName}
	for _, p := range x.PrivilegeList {
		r.Privileges = append(r.Privileges, extension.Privilege{ID: p.PrivID, Group: p.PrivGroupName})
	}
	var b bytes.Buffer
	if err := types.NewJSONEncoder(&b).Encode(*x); err != nil {
		return extension.Registration{}, InvalidArgument("extension", err)
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

func (a *API) extensionList(context.Context, *Call) ([]types.Extension, error) {
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

func (a *API) findExtension(_ context.Context, _ *Call, r *types.FindExtensionRequestType) (*types.Extension, error) {
	e, ok := a.Extensions.Find(r.ExtensionKey)
	if !ok {
		return nil, nil
	}
	return apiExtension(e)
}

func (a *API) registerExtension(ctx context.Context, c *Call, r *types.RegisterExtensionRequestType) error {
	reg, err := registration(c, &r.Extension)
	if err != nil {
		return err
	}
	s := c.Session.Session()
	return a.Extensions.Register(ctx, s.Actor(), reg)
}

func (a *API) updateExtension(ctx context.Context, c *Call, r *types.UpdateExtensionRequestType) error {
	reg, err := registration(c, &r.Extension)
	if err != nil {
		return err
	}
	s := c.Session.Session()
	return a.Extensions.Update(ctx, s.Actor(), reg)
}

func (a *API) unregisterExtension(ctx context.Context, c *Call, r *types.UnregisterExtensionRequestType) error {
	c.Note("extension", r.ExtensionKey)
	s := c.Session.Session()
	return a.Extensions.Unregister(ctx, s.Actor(), r.ExtensionKey)
}

// setExtensionCertificate takes the certificate that is given, or else the one
// that the caller has presented on its connection.
func (a *API) setExtensionCertificate(ctx context.Context, c *Call, r *types.SetExtensionCertificateRequestType) error {
	c.Note("extension", r.ExtensionKey)
	certificate := []byte(r.CertificatePem)
	if len(certificate) == 0 {
		if len(c.Peer.Certificates) == 0 {
			return NewFault(&types.NoClientCertificate{}, nil)
		}
		certificate = c.Peer.Certificates[0].Raw
	}
	s := c.Session.Session()
	return a.Extensions.SetCertificate(ctx, s.Actor(), r.ExtensionKey, certificate)
}

func (a *API) setPublicKey(ctx context.Context, c *Call, r *types.SetPublicKeyRequestType) error {
	c.Note("extension", r.ExtensionKey)
	s := c.Session.Session()
	return a.Extensions.SetPublicKey(ctx, s.Actor(), r.ExtensionKey, r.PublicKey)
}

// getPublicKey is the server's own key, for extensions to check what it signs.
func (a *API) getPublicKey(context.Context, *Call, *types.GetPublicKeyRequestType) (string, error) {
	if a.Server.PublicKey == nil {
		return "", NotSupported("the server's public key is not configured to be told")
	}
	return a.Server.PublicKey(), nil
}

// queryManagedBy: there are no entities that an extension could manage.
func (a *API) queryManagedBy(context.Context, *Call, *types.QueryManagedByRequestType) ([]types.ManagedObjectReference, error) {
	return nil, nil
}

// queryExtensionIPAllocationUsage: there are no pools to allocate from.
func (a *API) queryExtensionIPAllocationUsage(context.Context, *Call, *types.QueryExtensionIpAllocationUsageRequestType) ([]types.ExtensionManagerIpAllocationUsage, error) {
	return nil, nil
}

// extensionName is the principal of the extension with the key.
func (a *API) extensionName(key string) (principal.Name, bool) {
	e, ok := a.Extensions.Find(key)
	if !ok {
		return principal.Name{}, false
	}
	return e.Principal(), true
}

// resources are the texts of a module that extensions bring in the language, or
// in English where they have none in it. No extension speaks over another.
func (a *API) resources(module, messageLocale string) map[string]string {
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
