package vectors

import (
	"reflect"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/cluster"
	"github.com/vigate/vigate/internal/sessionmanager"
	"github.com/vigate/vigate/internal/sts/manager"
)

// The following types are the lists of vigate's own types in SOAP, as the library has such lists for the types of
// the API.
type (
	// ArrayOfVigateNode is the list of the nodes of a cluster.
	ArrayOfVigateNode struct {
		VigateNode []cluster.VigateNode `json:"_value"`
	}
	// ArrayOfVigateSigningKey is the list of the keys of the token service.
	ArrayOfVigateSigningKey struct {
		VigateSigningKey []manager.VigateSigningKey `json:"_value"`
	}
	// ArrayOfVigateSessionLogin is the list of how sessions logged in.
	ArrayOfVigateSessionLogin struct {
		VigateSessionLogin []sessionmanager.VigateSessionLogin `json:"_value"`
	}
)

// TypeNamed returns the type with the name: one of vigate's own, or one of the API. A client's decoder of SOAP needs
// it.
func TypeNamed(name string) (reflect.Type, bool) {
	for _, t := range []reflect.Type{
		reflect.TypeFor[ArrayOfVigateNode](), reflect.TypeFor[ArrayOfVigateSigningKey](),
		reflect.TypeFor[ArrayOfVigateSessionLogin](), reflect.TypeFor[sessionmanager.VigateSessionLimits](),
	} {
		if t.Name() == name {
			return t, true
		}
	}
	return types.TypeFunc()(name)
}
