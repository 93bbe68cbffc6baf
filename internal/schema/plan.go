package schema

import (
	"reflect"
	"sync"
)

// Codec describes how a codec sees the API's types. M is the type of the data that the codec keeps
// for each member of a struct.
type Codec[M any] struct {
	// Tag is the struct tag that holds the members' names: json or xml.
	Tag string
	// Spell returns the name of a type as the codec writes it.
	Spell func(reflect.Type) string
	// Own returns the codec's data for a member of the struct t. It is called once for each member.
	Own func(t reflect.Type, m Member) M
}

// Plans tell a codec how to encode and decode the structs of the API. The plan of a type is made at
// the first use and then cached; there are only as many plans as types. Plans are safe for
// concurrent use.
type Plans[M any] struct {
	codec Codec[M]
	known sync.Map // *Plan[M] by reflect.Type
}

// NewPlans returns the plans of a codec.
func NewPlans[M any](c Codec[M]) *Plans[M] { return &Plans[M]{codec: c} }

// Plan tells a codec how to encode and decode one struct. It is never changed.
type Plan[M any] struct {
	Name    string // name of the type as the codec writes it
	Members []Field[M]
	// ByName maps the name of each member to its index.
	ByName map[string]int
	// Request is true if the type is the request of a method. Requests are not data objects.
	Request bool
	// Key is the index of the member that identifies such an object in a list, which is a text or
	// an integer. It is -1 if there is none.
	Key int
}

// Field is a member of a struct with the codec's data.
type Field[M any] struct {
	Name  string
	Type  reflect.Type
	index []int
	// OmitEmpty is true if the tag says to omit the member when it is empty.
	OmitEmpty bool
	Own       M
}

// Of returns the member's value in the struct v.
func (f *Field[M]) Of(v reflect.Value) reflect.Value {
	if len(f.index) == 1 {
		return v.Field(f.index[0])
	}
	return v.FieldByIndex(f.index)
}

// Of returns the plan of a struct.
func (p *Plans[M]) Of(t reflect.Type) *Plan[M] {
	if known, ok := p.known.Load(t); ok {
		return known.(*Plan[M])
	}
	s := Of(t, p.codec.Tag)
	plan := &Plan[M]{Name: p.codec.Spell(t), ByName: map[string]int{}, Request: s.Request, Key: -1}
	for i, m := range s.Members {
		plan.ByName[m.Name] = i
		plan.Members = append(plan.Members, Field[M]{
			Name: m.Name, Type: m.Field.Type, index: m.Index, OmitEmpty: m.OmitEmpty, Own: p.codec.Own(t, m),
		})
		if m.Name == "key" && isKey(m.Field.Type) {
			plan.Key = i
		}
	}
	known, _ := p.known.LoadOrStore(t, plan)
	return known.(*Plan[M])
}

func isKey(t reflect.Type) bool {
	return t.Kind() == reflect.String || reflect.Int <= t.Kind() && t.Kind() <= reflect.Int64
}

// DataType returns the type that a client means by a name. It is Named without the types of
// requests.
func (p *Plans[M]) DataType(name string) (reflect.Type, bool) {
	t, ok := Named(name, p.codec.Spell)
	return t, ok && (t.Kind() != reflect.Struct || !p.Of(t).Request)
}

// Under returns the type of a client's value where an interface such as BaseEvent is declared. If
// name is empty, it is the interface's own type. Otherwise it is the named type, which must be the
// interface's own type or a subtype. base is the interface's own type, or nil if the interface has
// none.
func (p *Plans[M]) Under(iface reflect.Type, name string) (t, base reflect.Type, ok bool) {
	base, ok = Declared(iface)
	if !ok {
		return nil, nil, false
	}
	if name == "" {
		return base, base, true
	}
	t, ok = p.DataType(name)
	return t, base, ok && reflect.PointerTo(t).Implements(iface)
}
