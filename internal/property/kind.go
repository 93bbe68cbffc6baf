package property

import "github.com/vmware/govmomi/vim25/mo"

// root is the type that all managed objects are of.
const root = "ManagedObject"

// bases are the types that the API derives others from, of those objects that
// are served. What is not here derives from root.
var bases = map[string]string{
	"Folder":                "ManagedEntity",
	"ManagedEntity":         "ExtensibleManagedObject",
	"EventHistoryCollector": "HistoryCollector",
	"ContainerView":         "ManagedObjectView",
	"ListView":              "ManagedObjectView",
	"ManagedObjectView":     "View",
}

// isA reports whether objects of the type typ are of the type base as well.
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

// isKnown reports whether there are managed objects of the type: served here,
// also those that the API itself does not have, or not, as clients name those of
// an inventory that is not there.
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
