package schema

import (
	"reflect"
	"sync"
)

// Codec says how one codec sees the API's types, and what it keeps for each member
// of a struct, an M.
type Codec[M any] struct {
	// Tag gives the members their names: json or xml.
	Tag string
	// Spell writes the name of a type.
	Spell func(reflect.Type) string
	// Own makes what the codec keeps for a member of the struct t. It is called
	// once for each member.
	Own func(t reflect.Type, m Member) M
}

// Plans say how a codec reads and writes the structs of the API. The plan of a type
// is made when it is asked for the first time, and kept: there are as many as there
// are types. Plans may be used by many goroutines.
type Plans[M any] struct {
	codec Codec[M]
	known sync.Map // *Plan[M] by reflect.Type
}

// NewPlans makes the plans of a codec.
func NewPlans[M any](c Codec[M]) *Plans[M] { return &Plans[M]{codec: c} }

// Plan is how a codec reads and writes one struct. It is only read.
type Plan[M any] struct {
	Name    string // of the type, as the codec spells it
	Members []Field[M]
	// ByName has the index of each member.
	ByName map[string]int
	// Request: the type is a method's request, which is no data object.
	Request bool
	// Key is the index of the member by which lists find such an object, a text or
	// an integer; -1 if there is none.
	Key int
}

// Field is a member of a struct as a codec sees it.
type Field[M any] struct {
	Name  string
	Type  reflect.Type
	index []int
	// OmitEmpty: the tag says that the member is left out when it is empty.
	OmitEmpty bool
	Own       M
}

// Of returns the member of the struct v.
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

// DataType finds the type of a value that a stranger means by a name: as Named, but
// for the types of requests.
func (p *Plans[M]) DataType(name string) (reflect.Type, bool) {
	t, ok := Named(name, p.codec.Spell)
	return t, ok && (t.Kind() != reflect.Struct || !p.Of(t).Request)
}

// Under finds the type that a stranger's value has where an interface such as
// BaseEvent is declared: the interface's own type if the name is empty, or else the
// one that is named, if it stands under that. base is the interface's own type; it is
// nil if the interface stands for none.
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
