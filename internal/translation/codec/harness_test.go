package codec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/vigate/vigate/internal/vim"
)

// library returns the names of the types that the library's source declares.
var library = sync.OnceValues(func() ([]string, error) {
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/vmware/govmomi/vim25/types").Output()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, file := range []string{"types.go", "enum.go", "unreleased.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(dir)), file), nil,
			parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range f.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.TYPE {
				names = append(names, g.Specs[0].(*ast.TypeSpec).Name.Name)
			}
		}
	}
	return names, nil
})

// typeNames returns the names of the data objects and enumerations of the API.
func typeNames(t testing.TB, s *Schema) []string {
	t.Helper()
	all, err := library()
	if err != nil {
		t.Fatalf("find the types: %v", err)
	}
	var names []string
	for _, name := range all {
		shape, ok := s.types.named(name)
		if ok && shape.kind != kindReference && (shape.of == nil || !shape.of.request) {
			names = append(names, shape.Name)
		}
	}
	if len(names) < 3500 {
		t.Fatalf("%d types, want all", len(names))
	}
	return names
}

const (
	envelopeHead = `<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope ` +
		`xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema" ` +
		`xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>`
	envelopeTail = `</soapenv:Body></soapenv:Envelope>`
)

// answerOf returns an envelope around the content of a response.
func answerOf(content string) string {
	return envelopeHead + `<XResponse xmlns="urn:vim25">` + content + `</XResponse>` + envelopeTail
}

// translated returns the JSON of an answer whose result has the shape. The answer arrives in one piece. Some
// arrive again slowly. Both must give the same.
func translated(t testing.TB, s *Schema, envelope string, shape Shape) string {
	t.Helper()
	got, err := translate(s, strings.NewReader(envelope), shape, vim.Release{})
	if err != nil {
		t.Fatalf("%v in %.4000s", err, envelope)
	}
	if len(envelope)%16 > 0 {
		return got
	}
	streamed, err := translate(s, slow(envelope), shape, vim.Release{})
	if err != nil || streamed != got {
		t.Fatalf("slowly %s, %v, but at once %s", streamed, err, got)
	}
	return got
}

// slow returns an envelope with the same meaning that the slow tokenizer reads from its body on: there is a comment.
// It arrives in small pieces.
func slow(envelope string) io.Reader {
	at := strings.Index(envelope, "<soapenv:Body>")
	return iotest.OneByteReader(strings.NewReader(envelope[:at] + "<!-- -->" + envelope[at:]))
}

func translate(s *Schema, src io.Reader, shape Shape, release vim.Release) (string, error) {
	var a Answer
	if err := s.Start(&a, src, release); err != nil {
		return "", err
	}
	if a.IsFault() {
		err := a.Fault()
		return string(a.Buf), err
	}
	set, err := a.Result(shape)
	if err == nil && !set && len(a.Buf) > 0 {
		err = fmt.Errorf("no result, but %q", a.Buf)
	}
	return string(a.Buf), err
}

// generator makes random values of the API's types.
type generator struct {
	*rand.Rand
	schema *Schema
	names  []string // of data objects and enumerations
	// under are the subtypes of each data object that has any.
	under map[*object][]*object
}

func newGenerator(t testing.TB, s *Schema, seed uint64) *generator {
	g := &generator{rand.New(rand.NewPCG(seed, seed)), s, typeNames(t, s), map[*object][]*object{}}
	for _, name := range g.names {
		shape, _ := s.types.named(name)
		for o := shape.of; o != nil; o = o.base {
			g.under[o] = append(g.under[o], shape.of)
		}
	}
	return g
}

const deepest = 4

// ordered is an object of JSON. want is what the object must be after the way to SOAP and back, if that is
// something else.
type ordered struct {
	keys   []string
	values []any
}

func (o *ordered) add(key string, value any) {
	o.keys, o.values = append(o.keys, key), append(o.values, value)
}

// write writes a value in JSON. Members come in any order if shuffle is set.
func write(b *bytes.Buffer, v any, shuffle *rand.Rand) {
	switch v := v.(type) {
	case *ordered:
		order := make([]int, len(v.keys))
		for i := range order {
			order[i] = i
		}
		if shuffle != nil && shuffle.IntN(3) == 0 {
			order = shuffle.Perm(len(order))
		}
		b.WriteByte('{')
		for n, i := range order {
			if n > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(b, "%q:", v.keys[i])
			write(b, v.values[i], shuffle)
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for i, item := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			write(b, item, shuffle)
		}
		b.WriteByte(']')
	case json.RawMessage:
		b.Write(v)
	default:
		text, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		b.Write(text)
	}
}

// value returns a value of the shape.
func (g *generator) value(s Shape, depth int) any {
	if s.List {
		s.List = false
		items := []any{}
		n := 1 + g.IntN(2)
		if depth > deepest {
			n = 0
		}
		for range n {
			items = append(items, g.value(s, depth+1))
		}
		return items
	}
	switch s.kind {
	case kindObject:
		o := s.of
		if all := g.under[o]; len(all) > 1 && depth < deepest {
			o = all[g.IntN(len(all))]
		}
		return g.object(o, depth)
	case kindReference:
		return g.reference()
	case kindAny:
		return g.any(depth)
	case kindOctets:
		return []byte(g.text())
	}
	return g.simple(s.kind)
}

func (g *generator) reference() *ordered {
	o := &ordered{}
	o.add(typeNameKey, "ManagedObjectReference")
	o.add("type", "VirtualMachine")
	o.add("value", "vm-"+g.text())
	if g.IntN(4) == 0 {
		o.add("serverGuid", g.text()+"x")
	}
	return o
}

func (g *generator) object(o *object, depth int) *ordered {
	v := &ordered{}
	v.add(typeNameKey, o.name)
	for i := range o.members {
		m := &o.members[i]
		list := m.List || m.kind == kindOctets
		switch {
		case !m.required && (depth >= deepest || g.IntN(3) > 0):
			continue
		case m.required && list && g.IntN(4) == 0:
			if m.List {
				v.add(m.name, []any{})
			} else {
				v.add(m.name, "")
			}
			continue
		}
		value := g.value(m.Shape, depth+1)
		if empty, ok := value.([]any); ok && len(empty) == 0 && !m.required {
			continue // SOAP has no empty list
		}
		if b, ok := value.([]byte); ok && len(b) == 0 && m.kind == kindOctets && !m.required {
			continue
		}
		v.add(m.name, value)
	}
	return v
}

func (g *generator) any(depth int) any {
	if depth > deepest {
		return g.box("string", g.text())
	}
	switch g.IntN(3) {
	case 0:
		name := []string{"string", "boolean", "byte", "short", "int", "long", "float", "double", "dateTime",
			"binary"}[g.IntN(10)]
		k := simpleKinds[name]
		if name == "binary" {
			k = kindBinary
		}
		return g.box(name, g.simple(k))
	case 1:
		return g.reference()
	}
	s, _ := g.schema.types.named(g.names[g.IntN(len(g.names))])
	return g.named(s, depth)
}

// named returns a value that names its type, as it stands where anyType is declared.
func (g *generator) named(s Shape, depth int) any {
	switch {
	case s.of == nil:
		return g.box(s.Name, g.simple(s.kind))
	case s.of.list:
		return g.box(s.of.name, g.value(s.of.members[0].Shape, depth+1))
	}
	return g.object(s.of, depth)
}

func (g *generator) box(name string, value any) *ordered {
	o := &ordered{}
	o.add(typeNameKey, name)
	o.add(valueKey, value)
	return o
}

func (g *generator) simple(k kind) any {
	switch k {
	case kindBoolean:
		return g.IntN(2) == 0
	case kindByte:
		return g.IntN(256) - 128
	case kindShort, kindInt, kindLong:
		return g.Int64() >> (64 - bits[k] + g.IntN(bits[k])) * int64(1-2*g.IntN(2))
	case kindFloat:
		return json.RawMessage(fmt.Sprint(float32(g.NormFloat64())))
	case kindDouble:
		return json.RawMessage([]string{"0.5", "-1e-7", "1E+30", fmt.Sprint(g.NormFloat64())}[g.IntN(4)])
	case kindTime:
		return fmt.Sprintf("20%02d-0%d-1%dT10:%02d:59.%03d1Z", g.IntN(100), 1+g.IntN(9), g.IntN(10), g.IntN(60),
			g.IntN(1000))
	case kindBinary:
		return []byte(g.text())
	}
	return g.text()
}

var texts = []string{"", "a", " b ", `"<&>'`, "größe\u2028𝄞", "\t\n\r\r\n", "]]>", "42", "true", "<!--", "\\u0041"}

func (g *generator) text() string { return texts[g.IntN(len(texts))] }

// sameJSON reports whether two texts are the same value, with numbers compared as texts.
func sameJSON(t testing.TB, a, b string) bool {
	t.Helper()
	var values [2]any
	for i, text := range []string{a, b} {
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		if err := d.Decode(&values[i]); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
	}
	return reflect.DeepEqual(values[0], values[1])
}
