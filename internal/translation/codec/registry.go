package codec

import (
	"reflect"
	"strings"
	"sync"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/schema"
	"github.com/vigate/vigate/internal/vim"
)

// registry holds the types that have been used until now, by name. There are only as many as the
// library has. A name that the library does not have is never kept.
type registry struct {
	mu      sync.RWMutex // guards the fields below; an object that has been returned is never changed
	known   map[string]Shape
	objects map[reflect.Type]*object
}

// named returns the data object, enumeration or request with a name.
func (r *registry) named(name string) (Shape, bool) {
	r.mu.RLock()
	s, ok := r.known[name]
	r.mu.RUnlock()
	if ok {
		return s, true
	}
	return r.add(name)
}

// find is named for a name in bytes. It does not allocate memory for a type that is known.
func (r *registry) find(name []byte) (Shape, bool) {
	r.mu.RLock()
	s, ok := r.known[string(name)]
	r.mu.RUnlock()
	if ok {
		return s, true
	}
	return r.add(string(name))
}

func (r *registry) add(name string) (Shape, bool) {
	t, ok := goType(name)
	if !ok || t.Kind() != reflect.Struct && t.Kind() != reflect.String || strings.HasPrefix(name, "vim25:") {
		return Shape{}, false
	}
	if strings.HasPrefix(name, "Base") && t.Name() != name {
		return Shape{}, false // the library has its interfaces in the same table
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known, r.objects = map[string]Shape{}, map[reflect.Type]*object{}
	}
	b := builder{r.known, r.objects}
	s := b.shapeOf(t)
	// The name in messages can differ from that in Go: setCustomValue.
	r.known[name] = s
	return s, true
}

// goType returns the library's type with a name: the API's, or the library's if that is another one.
func goType(name string) (reflect.Type, bool) {
	t, ok := types.TypeFunc()(name)
	if !ok && name != "" {
		if t, ok = types.TypeFunc()(lowered(name)); ok {
			ok = t.Name() == name
		}
	}
	return t, ok
}

// lowered returns a name of the library as the API has it if the first letter is small there.
func lowered(name string) string {
	if items, ok := strings.CutPrefix(name, listPrefix); ok && items != "" {
		return listPrefix + strings.ToLower(items[:1]) + items[1:]
	}
	return strings.ToLower(name[:1]) + name[1:]
}

// spelled returns the name that the API has for a type of the library.
func spelled(t reflect.Type) string {
	if same, ok := types.TypeFunc()(t.Name()); ok && same == t {
		return t.Name()
	}
	if low := lowered(t.Name()); low != t.Name() {
		if same, ok := types.TypeFunc()(low); ok && same == t {
			return low
		}
	}
	return t.Name()
}

// builder makes objects from Go types, and the objects that these contain.
type builder struct {
	known   map[string]Shape
	objects map[reflect.Type]*object
}

// object returns the object for a struct. The objects refer to each other, in circles too, so an object
// is known before its members are.
func (b *builder) object(t reflect.Type) *object {
	if o, ok := b.objects[t]; ok {
		return o
	}
	o := &object{name: spelled(t), goType: t, byName: map[string]int{}}
	b.objects[t] = o
	if base, ok := extended(t); ok {
		o.base = b.object(base)
	}
	described := schema.Of(t, "xml")
	o.request = described.Request
	o.list = strings.HasPrefix(o.name, listPrefix) && len(described.Members) == 1
	if !o.request {
		b.known[o.name] = Shape{Name: o.name, kind: kindObject, of: o}
	}
	for _, m := range described.Members {
		shape := b.shapeOf(m.Field.Type)
		o.byName[m.Name] = len(o.members)
		o.members = append(o.members, member{
			Shape: shape, name: m.Name, required: !m.Optional, since: since(m),
		})
	}
	return o
}

// extended returns the type that a struct extends.
func extended(t reflect.Type) (reflect.Type, bool) {
	if t.NumField() == 0 || !t.Field(0).Anonymous || t.Field(0).Type.Kind() != reflect.Struct {
		return nil, false
	}
	return t.Field(0).Type, true
}

// since returns the release that added a member.
func since(m schema.Member) vim.Release {
	r, err := vim.ParseRelease(m.Field.Tag.Get("vim"))
	if err != nil || !vim.FirstRelease.Before(r) {
		return vim.Release{}
	}
	return r
}
