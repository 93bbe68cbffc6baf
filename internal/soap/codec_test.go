package soap

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"
	vimxml "github.com/vmware/govmomi/vim25/xml"

	"github.com/vigate/vigate/internal/schema"
	"github.com/vigate/vigate/internal/schema/schematest"
	"github.com/vigate/vigate/internal/vim"
)

// octetsType is xsd:byte, repeated.
var octetsType = reflect.TypeFor[types.ByteSlice]()

// newest is a release that has every member.
var newest = vim.Release{99}

// newFiller returns a filler with values that XML, or the library's codec, finds hard. The library does not decode
// base64Binary.
func newFiller(one, two uint64) *schematest.Filler {
	octets := func(f *schematest.Filler) any { return []byte{1, 200, 255, 0, byte(f.IntN(256))} }
	return &schematest.Filler{
		Rand:  rand.New(rand.NewPCG(one, two)),
		Texts: []string{"plain", "<a&b>", "quo\"te'", "line\nend\r\t\x7f", "größe 日本 \u2028", "𝄞", " ]]> "},
		Any: []any{
			"text", true, int32(-3), int64(1 << 60), int16(-4), float64(1e-7), []byte{1, 2}, time.Unix(5, 0).UTC(),
			types.ArrayOfString{String: []string{"a", "<b>"}}, types.ManagedObjectReference{Type: "A", Value: "b"},
			types.ArrayOfByte{Byte: []byte{1, 255}}, types.OptionValue{Key: "k", Value: "v"},
			types.ManagedEntityStatusRed,
		},
		Fixed: map[reflect.Type]func(*schematest.Filler) any{
			schema.Bytes: octets, octetsType: octets,
			schema.Reference: func(f *schematest.Filler) any {
				return types.ManagedObjectReference{Type: "Folder", Value: f.Text()}
			},
		},
	}
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
	f := newFiller(1, 2)
	tested := 0
	for _, name := range schema.Names() {
		typ, ok := c.plans.DataType(name)
		if !ok || typ.Kind() != reflect.Struct {
			continue
		}
		v := reflect.New(typ)
		f.Binary = false
		f.Fill(t, v.Elem())
		out := written(t, c, v.Interface(), newest)
		theirs := reflect.New(typ)
		d := vimxml.NewDecoder(bytes.NewReader(out))
		d.TypeFunc = types.TypeFunc()
		if err := d.Decode(theirs.Interface()); err != nil {
			t.Errorf("%s: the library does not read %.300s: %v", name, out, err)
			continue
		}
		if !f.Binary && !reflect.DeepEqual(theirs.Interface(), v.Interface()) {
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
		if tested++; f.Binary || name == "ArrayOfBoolean" {
			continue // the library leaves out an item of a list that is false
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
	for _, name := range schema.Names() {
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
		if got := schema.ListName(bareName(elem)); elem.Kind() != reflect.String && got != typ.Name() {
			t.Errorf("%s is written as %s", name, got)
		}
		tested++
	}
	if tested < 300 {
		t.Errorf("%d lists, want all", tested)
	}
}
