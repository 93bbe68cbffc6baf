package wsdl

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/schema"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/vim/implied"
)

// part is one namespace of vCenter's own description, with its files. A part includes the types of the one
// before it.
type part struct {
	types, messages string   // names of files
	includes        []string // files that the file with the types includes
	// seeds are the types that begin the part. Types that they need, and that no part before has, are in it too.
	// The last part has all that is left.
	seeds string
	// receivers are the managed types whose methods the part has. The last part has all others.
	receivers string
}

var parts = [...]part{{
	types: "core-types.xsd",
	seeds: `DynamicData DynamicProperty HostCommunication HostNotConnected HostNotReachable InvalidArgument
		InvalidRequest InvalidType KeyAnyValue LocalizableMessage LocalizedMethodFault ManagedObjectNotFound
		ManagedObjectReference MethodFault MethodNotFound NotEnoughLicenses NotImplemented NotSupported
		RequestCanceled RuntimeFault SecurityError SystemError UnexpectedFault
		ArrayOfAnyType ArrayOfAnyURI ArrayOfBase64Binary ArrayOfBoolean ArrayOfByte ArrayOfDateTime ArrayOfDouble
		ArrayOfFloat ArrayOfInt ArrayOfLong ArrayOfShort ArrayOfString`,
}, {
	types: "query-types.xsd", messages: "query-messagetypes.xsd", includes: []string{"core-types.xsd"},
	seeds: `InvalidCollectorVersion InvalidProperty MissingObject MissingProperty ObjectContent ObjectSpec
		ObjectUpdate ObjectUpdateKind PropertyChange PropertyChangeOp PropertyFilterSpec PropertyFilterUpdate
		PropertySpec RetrieveOptions RetrieveResult SelectionSpec TraversalSpec UpdateSet WaitOptions`,
	receivers: "PropertyCollector PropertyFilter",
}, {
	types: "vim-types.xsd", messages: "vim-messagetypes.xsd", includes: []string{"core-types.xsd", "query-types.xsd"},
}}

// shape is how a value is declared: the name of its type with a prefix, and whether it is a list of elements.
type shape struct {
	name string
	list bool
}

// datum is a data object, an enumeration or a list. fields are its own, without those of its base.
type datum struct {
	name   string
	of     reflect.Type // nil for a list that the library does not have
	base   *datum
	fields []field
	needs  []*datum // the types of the fields
	part   *part
}

type field struct {
	shape
	name     string
	optional bool
}

// catalogue has the types of the description, by name.
type catalogue struct {
	release vim.Release
	data    map[string]*datum
	todo    []reflect.Type
	whole   bool
	err     error
}

func newCatalogue(release vim.Release) *catalogue {
	return &catalogue{release: release, data: map[string]*datum{}}
}

// manifold are the base types of whose many subtypes a server creates only a few. These are named by the rows
// and by package vim.
var manifold = []string{"Event", "MethodFault"}

// collect adds the types of the objects' rows or, if whole is set, all types.
func (c *catalogue) collect(objects []*vim.Object, whole bool) {
	c.whole = whole
	if whole {
		for _, name := range schema.Names() {
			c.named(name)
		}
	}
	for _, names := range [][]string{implied.Faults, implied.Events, {"RuntimeFault"}} {
		for _, name := range names {
			c.named(name)
		}
	}
	for _, o := range objects {
		for i := range o.Methods {
			m := &o.Methods[i]
			for _, f := range schema.Of(m.Args, "xml").Members {
				if !c.after(f) {
					c.of(f.Field.Type)
				}
			}
			if m.Result != nil {
				c.of(m.Result)
			}
			for _, name := range m.Faults {
				c.named(name)
			}
		}
		for i := range o.Properties {
			c.of(o.Properties[i].Type)
		}
	}
	c.complete()
}

// named requests a type of the API by its name.
func (c *catalogue) named(name string) {
	t, ok := types.TypeFunc()(name)
	if !ok {
		c.fail(fmt.Errorf("%s is not a type of the API", name))
		return
	}
	c.want(t)
}

func (c *catalogue) fail(err error) { c.err = cmp.Or(c.err, err) }

// want requests a struct or an enumeration, and returns its name.
func (c *catalogue) want(t reflect.Type) string {
	name := schema.Spelled(t)
	if d, ok := c.data[name]; !ok {
		c.data[name] = &datum{name: name, of: t}
		c.todo = append(c.todo, t)
	} else if d.of != t {
		c.fail(fmt.Errorf("%s is the name of two types", name))
	}
	return name
}

// complete adds the fields of the requested types, and all types that these need.
func (c *catalogue) complete() {
	for len(c.todo) > 0 && c.err == nil {
		t := c.todo[len(c.todo)-1]
		c.todo = c.todo[:len(c.todo)-1]
		d := c.data[schema.Spelled(t)]
		if t.Kind() != reflect.Struct || t == schema.Reference {
			continue
		}
		if base, ok := schema.Base(t); ok {
			d.base = c.data[c.want(base)]
		}
		for _, m := range schema.Of(t, "xml").Members {
			if m.Owner == t && !c.after(m) {
				d.fields = append(d.fields, c.field(m))
			}
		}
	}
	for _, d := range c.data {
		for _, f := range d.fields {
			if need, ok := c.data[strings.TrimPrefix(f.shape.name, prefix)]; ok {
				d.needs = append(d.needs, need)
			}
		}
	}
}

// after reports whether a member is newer than the release of the description.
func (c *catalogue) after(m schema.Member) bool {
	since, err := vim.ParseRelease(m.Field.Tag.Get("vim"))
	return err == nil && c.release.Before(since)
}

func (c *catalogue) field(m schema.Member) field {
	s := c.of(m.Field.Type)
	return field{s, m.Name, s.list || m.Optional || isOptional[m.Owner.Name()+"."+m.Name]}
}

// isOptional has the members that may be left out although the library's tags do not say so.
var isOptional = map[string]bool{
	"PropertyChange.val": true, // of a property without a value
}

const prefix = "vim25:"

// simple are the names of the types of XML Schema.
var simple = func() map[reflect.Type]string {
	all := map[reflect.Type]string{}
	for name, t := range schema.Simple() {
		if name != "anyURI" { // a string in the library
			all[t] = "xsd:" + name
		}
	}
	return all
}()

var octets = reflect.TypeFor[types.ByteSlice]() // xsd:byte, repeated

// of returns how a value of a type is declared, and requests the types that it needs.
func (c *catalogue) of(t reflect.Type) shape {
	switch {
	case t == octets:
		return c.list(shape{name: "xsd:byte"})
	case simple[t] != "":
		return shape{name: simple[t]}
	case t.Kind() == reflect.Func && t.CanSeq():
		return c.list(c.of(t.In(0).In(0)))
	}
	switch t.Kind() {
	case reflect.Pointer:
		return c.of(t.Elem())
	case reflect.Slice:
		return c.list(c.of(t.Elem()))
	case reflect.Interface:
		return c.polymorphic(t)
	case reflect.Struct, reflect.String:
		return shape{name: prefix + c.want(t)}
	}
	c.fail(fmt.Errorf("%v has no form in XML", t))
	return shape{}
}

// polymorphic returns the base type that an interface stands for, and requests its subtypes.
func (c *catalogue) polymorphic(t reflect.Type) shape {
	if t.NumMethod() == 0 {
		return shape{name: "xsd:anyType"}
	}
	base, ok := schema.Declared(t)
	if !ok {
		c.fail(fmt.Errorf("%v is not a type of the API", t))
		return shape{}
	}
	if name := c.want(base); c.whole || !slices.Contains(manifold, name) {
		for _, sub := range schema.Subtypes()[base] {
			c.want(sub)
		}
	}
	return shape{name: prefix + schema.Spelled(base)}
}

// list returns how a list of items is declared. Where anyType is declared, a list is an object of the type
// ArrayOf…, which is requested.
func (c *catalogue) list(item shape) shape {
	if item.list {
		c.fail(fmt.Errorf("a list of lists of %s has no form in XML", item.name))
	}
	_, bare, _ := strings.Cut(item.name, ":")
	name := schema.ListName(bare)
	if t, ok := types.TypeFunc()(name); ok {
		c.want(t)
	} else if c.data[name] == nil {
		items := field{shape{item.name, true}, bare, true}
		c.data[name] = &datum{name: name, fields: []field{items}}
	}
	return shape{item.name, true}
}

// divide assigns each type to a part.
func (c *catalogue) divide() {
	for i := range parts {
		p := &parts[i]
		for name := range strings.FieldsSeq(p.seeds) {
			for _, list := range []string{name, schema.ListName(name)} {
				if d := c.data[list]; d != nil {
					d.assign(p)
				}
			}
		}
	}
	for _, d := range c.data {
		d.assign(&parts[len(parts)-1])
	}
}

// assign puts a type and all that it needs into a part, unless they are in one.
func (d *datum) assign(p *part) {
	if d.part != nil {
		return
	}
	d.part = p
	if d.base != nil {
		d.base.assign(p)
	}
	for _, need := range d.needs {
		need.assign(p)
	}
}

// in returns the types of a part in the order of their names, each after its base.
func (c *catalogue) in(p *part) []*datum {
	var all []*datum
	done := map[*datum]bool{}
	var add func(*datum)
	add = func(d *datum) {
		if d == nil || d.part != p || done[d] {
			return
		}
		done[d] = true
		add(d.base)
		all = append(all, d)
	}
	for _, name := range slices.Sorted(maps.Keys(c.data)) {
		add(c.data[name])
	}
	return all
}
