package soap

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"
	vimxml "github.com/vmware/govmomi/vim25/xml"

	"github.com/vigate/vigate/internal/schema"
	"github.com/vigate/vigate/internal/vim"
)

// newest is a release that has every member.
var newest = vim.Release{99}

// typeNames returns the names of the API's types. It reads them from the library's source.
func typeNames(t *testing.T) []string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/vmware/govmomi/vim25/types").Output()
	if err != nil {
		t.Fatalf("find the types: %v", err)
	}
	f, err := parser.ParseFile(gotoken.NewFileSet(), filepath.Join(strings.TrimSpace(string(dir)), "types.go"), nil,
		parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range f.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == gotoken.TYPE {
			names = append(names, g.Specs[0].(*ast.TypeSpec).Name.Name)
		}
	}
	if len(names) < 3000 {
		t.Fatalf("%d types, want all", len(names))
	}
	return names
}

// filler fills values that have only one encoding: an optional member is either unset or not zero, and
// times are in UTC.
type filler struct {
	*rand.Rand
	// binary is set if the value has a base64Binary, which the library does not decode.
	binary bool
}

// deepest is the depth down to which optional members are filled.
const deepest = 3

func (f *filler) fill(t *testing.T, v reflect.Value, depth int) {
	switch v.Type() {
	case schema.Time:
		v.Set(reflect.ValueOf(time.Unix(f.Int64N(4e9), 1000*f.Int64N(1e6)).UTC()))
		return
	case schema.Bytes, octetsType:
		f.binary = f.binary || v.Type() == schema.Bytes
		v.SetBytes([]byte{1, 200, 255, 0, byte(f.IntN(256))})
		return
	case schema.Reference:
		v.Set(reflect.ValueOf(types.ManagedObjectReference{Type: "Folder", Value: f.text()}))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Tag.Get("json") != "-" {
				f.fill(t, v.Field(i), depth+1)
			}
		}
	case reflect.Pointer:
		if depth <= deepest {
			v.Set(reflect.New(v.Type().Elem()))
			f.fill(t, v.Elem(), depth+1)
		}
	case reflect.Slice:
		if depth >= deepest {
			return // an item below this depth would be nil
		}
		v.Set(reflect.MakeSlice(v.Type(), 1+f.IntN(2), 2))
		for i := range v.Len() {
			f.fill(t, v.Index(i), depth+1)
		}
	case reflect.Interface:
		f.fillInterface(t, v, depth)
	case reflect.String:
		v.SetString(f.text())
		if e, ok := v.Interface().(interface{ Strings() []string }); ok {
			v.SetString(e.Strings()[0])
		}
	case reflect.Bool:
		v.SetBool(f.IntN(2) == 0)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(f.Int64() >> f.IntN(60))
	case reflect.Uint8:
		v.SetUint(f.Uint64() & 127)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(float32(f.NormFloat64())))
	default:
		t.Fatalf("no value for a %v", v.Type())
	}
}

func (f *filler) fillInterface(t *testing.T, v reflect.Value, depth int) {
	if v.NumMethod() == 0 {
		all := []any{
			"text", true, int32(-3), int64(1 << 60), int16(-4), float64(1e-7), []byte{1, 2}, time.Unix(5, 0).UTC(),
			types.ArrayOfString{String: []string{"a", "<b>"}}, types.ManagedObjectReference{Type: "A", Value: "b"},
			types.ArrayOfByte{Byte: []byte{1, 255}}, types.OptionValue{Key: "k", Value: "v"},
			types.ManagedEntityStatusRed,
		}
		v.Set(reflect.ValueOf(all[f.IntN(len(all))]))
		f.binary = f.binary || v.Elem().Type() == schema.Bytes
		return
	}
	base, ok := schema.Declared(v.Type())
	if !ok {
		t.Fatalf("no type for %v", v.Type())
	}
	if depth <= deepest {
		p := reflect.New(base)
		f.fill(t, p.Elem(), depth+1)
		v.Set(p)
	}
}

func (f *filler) text() string {
	all := []string{"plain", "<a&b>", "quo\"te'", "line\nend\r\t\x7f", "größe 日本 \u2028", "𝄞", " ]]> "}
	return all[f.IntN(len(all))]
}

const prefixes = ` xmlns="urn:vim25" xmlns:xsi="` + nsInstance + `" xmlns:xsd="` + nsSchema +
	`" xmlns:XMLSchema-instance="` + nsInstance + `"`

// written returns v as an element that is a document of its own.
func written(t *testing.T, c *codec, v any, r vim.Release) []byte {
	t.Helper()
	e := encoder{codec: c, release: r}
	e.element("x", reflect.ValueOf(v), false)
	if e.Err != nil {
		t.Fatal(e.Err)
	}
	return bytes.Replace(e.Buf, []byte("<x"), []byte("<x"+prefixes), 1)
}

// parsed decodes a document of one element into the value that into points to.
func parsed(c *codec, document []byte, into any) error {
	r := c.reader(document)
	defer c.done(r)
	d := decoder{reader: r, codec: c}
	e, err := d.Child()
	if err != nil {
		return err
	}
	if err := d.value(reflect.ValueOf(into).Elem(), e); err != nil {
		return err
	}
	return d.End()
}

func TestEveryTypeOfTheAPIIsWrittenAndReadAsTheLibraryDoes(t *testing.T) {
	c := newCodec()
	f := &filler{Rand: rand.New(rand.NewPCG(1, 2))}
	tested := 0
	for _, name := range typeNames(t) {
		typ, ok := c.plans.DataType(name)
		if !ok || typ.Kind() != reflect.Struct {
			continue
		}
		v := reflect.New(typ)
		f.binary = false
		f.fill(t, v.Elem(), 0)
		out := written(t, c, v.Interface(), newest)
		theirs := reflect.New(typ)
		d := vimxml.NewDecoder(bytes.NewReader(out))
		d.TypeFunc = types.TypeFunc()
		if err := d.Decode(theirs.Interface()); err != nil {
			t.Errorf("%s: the library does not read %.300s: %v", name, out, err)
			continue
		}
		if !f.binary && !reflect.DeepEqual(theirs.Interface(), v.Interface()) {
			t.Errorf("%s is written\n%.900s\nthe library reads\n%.900s", name, out, fmt.Sprintf("%+v", theirs.Elem()))
			continue
		}
		if hollow(v) {
			continue // the filler left a required member unset
		}
		ours := reflect.New(typ)
		if err := parsed(c, out, ours.Interface()); err != nil || !reflect.DeepEqual(ours.Interface(), v.Interface()) {
			t.Errorf("%s: %v: not read as it was written:\n%.900s", name, err, out)
			continue
		}
		if tested++; f.binary {
			continue
		}
		var b bytes.Buffer
		enc := vimxml.NewEncoder(&b)
		if err := enc.EncodeElement(v.Interface(), vimxml.StartElement{Name: vimxml.Name{Local: "x"}}); err != nil {
			t.Fatal(err)
		}
		ours = reflect.New(typ)
		document := bytes.Replace(b.Bytes(), []byte("<x"), []byte("<x"+prefixes), 1)
		if err := parsed(c, document, ours.Interface()); err != nil ||
			!reflect.DeepEqual(ours.Interface(), v.Interface()) {
			t.Errorf("%s: %v: not read as the library writes it:\n%.900s", name, err, document)
		}
	}
	t.Logf("%d types", tested)
	if tested < 1500 {
		t.Errorf("%d types were compared, want nearly all", tested)
	}
}

// hollow reports whether a required member of the value is unset.
func hollow(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return !v.IsNil() && hollow(v.Elem())
	case reflect.Slice:
		for i := range v.Len() {
			if e := v.Index(i); hollow(e) {
				return true
			}
		}
	case reflect.Struct:
		if v.Type() == schema.Time {
			return false
		}
		for _, m := range schema.Of(v.Type(), "xml").Members {
			f := v.FieldByIndex(m.Index)
			if (f.Kind() == reflect.Interface || f.Kind() == reflect.Pointer) && f.IsNil() && !m.Optional || hollow(f) {
				return true
			}
		}
	}
	return false
}

func TestEveryListHasTheNamesOfTheAPI(t *testing.T) {
	tested := 0
	for _, name := range typeNames(t) {
		typ, ok := types.TypeFunc()(name)
		if !ok || !strings.HasPrefix(name, "ArrayOf") {
			continue
		}
		f := typ.Field(0)
		inner, _, _ := strings.Cut(f.Tag.Get("xml"), ",")
		if inner == "anyURI" {
			continue // anyURI is a string in Go
		}
		elem := reflect.TypeFor[uint8]()
		if f.Type != octetsType {
			elem = f.Type.Elem()
		}
		if got := bareName(elem); got != inner && !strings.EqualFold(inner, got) {
			// Some enumerations are plain strings in the library.
			if elem.Kind() == reflect.String {
				continue
			}
			t.Errorf("%s has elements %s, written as %s", name, inner, got)
		}
		if got := schema.ListName(bareName(elem)); elem.Kind() != reflect.String && got != name {
			t.Errorf("%s is written as %s", name, got)
		}
		tested++
	}
	if tested < 300 {
		t.Errorf("%d lists, want all", tested)
	}
}
