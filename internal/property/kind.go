package property

import "github.com/vmware/govmomi/vim25/mo"

// root is the base type of all managed objects.
const root = "ManagedObject"

// bases maps the types of served objects to the types that they derive from. A type that is not
// listed derives from root.
var bases = map[string]string{
	"Folder":                "ManagedEntity",
	"ManagedEntity":         "ExtensibleManagedObject",
	"EventHistoryCollector": "HistoryCollector",
	"ContainerView":         "ManagedObjectView",
	"ListView":              "ManagedObjectView",
	"ManagedObjectView":     "View",
}

// isA reports whether the type typ is base or derives from it.
func isA(typ, base string) bool {
	if base == root {
		return true
	}
	for typ != base {
		next, ok := bases[typ]
		if !ok {
			return false
		}
		typ = next
	}
	return true
}

// isKnown reports whether typ is a type of managed object. It may be a type that this server
// serves, even if the vSphere API does not have it, or a type of the vSphere API that this server
// does not serve: clients also name types of inventory objects.
func (s *service) isKnown(typ string) bool {
	if typ == root || s.api.Object(typ) != nil || mo.IsManagedObjectType(typ) {
		return true
	}
	for _, base := range bases {
		if base == typ {
			return true
		}
	}
	return false
}
