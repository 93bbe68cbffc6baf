package vimtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/vim"
)

// Create makes a user, as the administrator.
func (f *Fixture) Create(id, password, fullName string) Answer {
	f.t.Helper()
	return f.On("HostLocalAccountManager", "CreateUser", &types.CreateUserRequestType{
		User: &types.HostAccountSpec{Id: id, Password: password, Description: fullName},
	})
}

// AddRole makes a role and returns its id.
func (f *Fixture) AddRole(name string, privileges ...access.Privilege) int32 {
	f.t.Helper()
	return Get[int32](f.On("AuthorizationManager", "AddAuthorizationRole",
		&types.AddAuthorizationRoleRequestType{Name: name, PrivIds: access.Names(privileges...)}))
}

// Grant sets permissions.
func (f *Fixture) Grant(token string, all ...types.Permission) Answer {
	f.t.Helper()
	return f.As(token, "AuthorizationManager", "SetEntityPermissions",
		&types.SetEntityPermissionsRequestType{Entity: vim.RootFolder(), Permission: all})
}

// Revoke removes a permission.
func (f *Fixture) Revoke(token, name string, group bool) Answer {
	f.t.Helper()
	return f.As(token, "AuthorizationManager", "RemoveEntityPermission",
		&types.RemoveEntityPermissionRequestType{Entity: vim.RootFolder(), User: name, IsGroup: group})
}

// SetOption sets options.
func (f *Fixture) SetOption(token string, all ...types.OptionValue) Answer {
	f.t.Helper()
	r := &types.UpdateOptionsRequestType{}
	for _, o := range all {
		r.ChangedValue = append(r.ChangedValue, &o)
	}
	return f.As(token, "OptionManager", "UpdateOptions", r)
}

// Extension returns a registration with all members that extensions usually have.
func Extension(key string) types.Extension {
	return types.Extension{
		Description: &types.Description{Label: "An extension", Summary: "It extends"},
		Key:         key, Version: "1.2", Company: "ACME", SubjectName: "CN=" + key + ",O=ACME",
		Server: []types.ExtensionServerInfo{{
			Url: "https://x.test", Description: &types.Description{Label: "S"}, AdminEmail: []string{"a@x.test"},
		}},
		PrivilegeList: []types.ExtensionPrivilegeInfo{{PrivID: "Acme.Do", PrivGroupName: "Acme"}},
		ResourceList: []types.ExtensionResourceInfo{{Locale: "de", Module: "auth", Data: []types.KeyValue{
			{Key: "privilege.Acme.Do.label", Value: "Tun"}, {Key: "privilege.System.View.label", Value: "Falsch"},
		}}},
	}
}

// Register registers an extension, as the administrator.
func (f *Fixture) Register(x types.Extension) Answer {
	f.t.Helper()
	return f.On("ExtensionManager", "RegisterExtension", &types.RegisterExtensionRequestType{Extension: x})
}

// Certificate makes a self-signed certificate.
func (f *Fixture) Certificate(name string) *x509.Certificate {
	f.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	f.Must(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	f.Must(err)
	c, err := x509.ParseCertificate(der)
	f.Must(err)
	return c
}
