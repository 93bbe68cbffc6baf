package value

import "reflect"

// Index remembers where the elements of one list are. Many paths may lead into
// a list, and a list may be long. The zero value is ready, and good for the walks
// from one value.
type Index struct {
	asked   int
	texts   map[string]int
	numbers map[int64]int
}

// indexAfter is how many elements are looked for one by one: it takes as long as
// a look at all to make an index.
const indexAfter = 2

func (x *Index) element(s *Shapes, list reflect.Value, st Step) reflect.Value {
	if x.asked++; x.asked <= indexAfter {
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

// build finds the first element of each key.
func (x *Index) build(s *Shapes, list reflect.Value) {
	x.texts, x.numbers = map[string]int{}, map[int64]int{}
	for i := list.Len() - 1; i >= 0; i-- {
		switch _, k := s.keyed(list.Index(i)); {
		case !k.IsValid():
		case k.Kind() == reflect.String:
			x.texts[k.String()] = i
		case k.CanInt():
			x.numbers[k.Int()] = i
		}
	}
}
