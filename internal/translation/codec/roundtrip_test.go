package codec

import (
	"bytes"
	"testing"

	"github.com/vigate/vigate/internal/jsontoken"
)

// anything is the shape of a value that names its type.
var anything = Shape{Name: "anyType", kind: kindAny}

// soapOf returns the element for a value that names its type.
func soapOf(t testing.TB, s *Schema, value []byte) string {
	t.Helper()
	if err := jsontoken.WellFormed(value); err != nil {
		t.Fatalf("%v in %s", err, value)
	}
	r := request{Cursor: jsontoken.Cursor{Data: value}, schema: s, limit: maxRequest}
	if err := r.any("returnval"); err != nil {
		t.Fatalf("%v in %s", err, value)
	}
	return string(r.out)
}

// checkRoundTrip checks that a random value of the type is the same after the way to SOAP and back.
func checkRoundTrip(t testing.TB, s *Schema, g *generator, name string) {
	t.Helper()
	shape, ok := s.types.named(name)
	if !ok {
		t.Fatalf("no type %s", name)
	}
	v := g.named(shape, 0)
	var want, sent bytes.Buffer
	write(&want, v, nil)
	write(&sent, v, g.Rand)
	element := soapOf(t, s, sent.Bytes())
	if got := translated(t, s, answerOf(element), anything); !sameJSON(t, got, want.String()) {
		t.Fatalf("%s\nbecame %s\nand then %s", want.String(), element, got)
	}
}

func TestEveryTypeIsTheSameAfterTheWayToSOAPAndBack(t *testing.T) {
	s := NewSchema()
	const seed = 1
	g := newGenerator(t, s, seed)
	for _, name := range g.names {
		checkRoundTrip(t, s, g, name)
	}
	t.Logf("%d types, seed %d", len(g.names), seed)
}

func FuzzARandomValueIsTheSameAfterTheWayToSOAPAndBack(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed, uint(seed*997))
	}
	s := NewSchema()
	g := newGenerator(f, s, 0)
	f.Fuzz(func(t *testing.T, seed uint64, which uint) {
		g.Rand = newGenerator(t, s, seed).Rand
		checkRoundTrip(t, s, g, g.names[which%uint(len(g.names))])
	})
}
