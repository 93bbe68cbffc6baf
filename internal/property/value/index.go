package value

import "reflect"

// Index maps the keys of one list to its elements. It is for requests with many paths into a long
// list. The zero value is ready for use with walks from one value.
type Index struct {
	lookups int
	texts   map[string]int
	numbers map[int64]int
}

// indexAfter is the number of linear searches before the index is built. Building it takes as long
// as one search through the whole list.
const indexAfter = 2

func (x *Index) element(s *Shapes, list reflect.Value, st Step) reflect.Value {
	if x.lookups++; x.lookups <= indexAfter {
		return s.element(list, st, nil)
	}
	if x.texts == nil {
		x.build(s, list)
	}
	i, ok := x.numbers[st.number]
	if st.kind == textKey {
		i, ok = x.texts[st.text]
	}
	if !ok {
		return reflect.Value{}
	}
	return concrete(list.Index(i))
}

// build maps each key to its first element.
func (x *Index) build(s *Shapes, list reflect.Value) {
	x.texts, x.numbers = map[string]int{}, map[int64]int{}
	for i := list.Len() - 1; i >= 0; i-- {
		switch _, k := s.withKey(list.Index(i)); {
		case !k.IsValid():
		case k.Kind() == reflect.String:
			x.texts[k.String()] = i
		case k.CanInt():
			x.numbers[k.Int()] = i
		}
	}
}
