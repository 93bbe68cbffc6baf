package codec

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vim25/xml"

	"github.com/vigate/vigate/internal/schema"
)

// filler fills values of the library's types so that the library keeps them: an optional member is either
// unset or not zero, lists are not empty, and there is no base64, which the library does not decode.
type filler struct {
	*rand.Rand
	binary bool // whether the value has base64 all the same
}

func (f *filler) fill(t *testing.T, v reflect.Value, depth int) {
	switch v.Type() {
	case schema.Time:
		v.Set(reflect.ValueOf(time.Unix(f.Int64N(4e9), 1000*f.Int64N(1e6)).UTC()))
		return
	case schema.Bytes, octets:
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
			if !strings.HasPrefix(v.Type().Field(i).Tag.Get("xml"), "_this") {
				f.fill(t, v.Field(i), depth+1)
			}
		}
	case reflect.Pointer:
		if depth <= 3 {
			v.Set(reflect.New(v.Type().Elem()))
			f.fill(t, v.Elem(), depth+1)
		}
	case reflect.Slice:
		if depth < 3 { // an item below this depth would be nil
			v.Set(reflect.MakeSlice(v.Type(), 1+f.IntN(2), 2))
			for i := range v.Len() {
				f.fill(t, v.Index(i), depth+1)
			}
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
	case reflect.Int16, reflect.Int32, reflect.Int64:
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
			"text", true, int32(-3), int64(1 << 60), int16(-4), float64(1e-7), float32(2.5),
			time.Unix(5, 0).UTC(), types.ArrayOfString{String: []string{"a"}},
			types.ManagedObjectReference{Type: "A", Value: "b"},
			types.OptionValue{Key: "k", Value: "v"}, types.ManagedEntityStatusRed,
		}
		v.Set(reflect.ValueOf(all[f.IntN(len(all))]))
		return
	}
	base, ok := schema.Declared(v.Type())
	if !ok {
		t.Fatalf("no value for a %v", v.Type())
	}
	p := reflect.New(base)
	if depth <= 3 {
		f.fill(t, p.Elem(), depth+1)
	}
	v.Set(p)
}

func (f *filler) text() string { return []string{"a", "b c", `"<&>'`, "größe", "x\ny"}[f.IntN(5)] }

// request returns a filled request of a method, or false if the library can't keep its values.
func (f *filler) request(t *testing.T, typ reflect.Type) (reflect.Value, bool) {
	f.binary = false
	v := reflect.New(typ)
	f.fill(t, v.Elem(), 0)
	return v, !f.binary
}

// xmlOf returns the XML that the library makes of the value behind a pointer. Empty lists and missing ones
// are the same there.
func xmlOf(t *testing.T, v reflect.Value) string {
	t.Helper()
	var b bytes.Buffer
	wrapped := struct {
		XMLName xml.Name      `xml:"r"`
		Value   types.AnyType `xml:"returnval,typeattr"` //lint:ignore SA5008 the library's encoder knows typeattr
	}{Value: v.Elem().Interface()}
	if err := xml.NewEncoder(&b).Encode(wrapped); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func methodTypes(t *testing.T) map[string]reflect.Type {
	t.Helper()
	names, err := library()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]reflect.Type{}
	for _, name := range names {
		method, ok := strings.CutSuffix(name, "Response")
		if !ok {
			continue
		}
		for _, wire := range []string{method, strings.ToLower(method[:1]) + method[1:]} {
			if typ, ok := types.TypeFunc()(wire); ok && typ.Kind() == reflect.Struct && typ.Name() == method {
				all[wire] = typ
			}
		}
	}
	if len(all) < 950 {
		t.Fatalf("%d methods, want all", len(all))
	}
	return all
}

func TestTheLibraryReadsEveryRequestAsItsArguments(t *testing.T) {
	s := NewSchema()
	const seed = 2
	f := &filler{Rand: rand.New(rand.NewPCG(seed, 0))}
	compared := 0
	for method, typ := range methodTypes(t) {
		want, ok := f.request(t, typ)
		// In JSON, the library has other names than the API for the members of one, and null for a list of
		// the other.
		if !ok || method == "PlaceVmsXCluster" || method == "FetchVmGroupForMultiwriterDisks" {
			continue
		}
		var body bytes.Buffer
		if err := types.NewJSONEncoder(&body).Encode(want.Interface()); err != nil {
			t.Fatal(err)
		}
		out, err := s.Request(nil, body.Bytes(), method)
		if err != nil {
			t.Errorf("seed %d: %s: %v in %.2000s", seed, method, err, body.String())
			continue
		}
		got := reflect.New(typ)
		d := xml.NewDecoder(strings.NewReader(`<x xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="` +
			instanceSpace + `">` + string(out) + "</x>"))
		d.TypeFunc = types.TypeFunc()
		if err := d.Decode(got.Interface()); err != nil {
			t.Errorf("seed %d: %s: %v in %.2000s", seed, method, err, out)
		} else if again := xmlOf(t, got); again != xmlOf(t, want) {
			t.Errorf("seed %d: %s\nis read as %.2000s\nwant       %.2000s", seed, method, again, xmlOf(t, want))
		}
		compared++
	}
	if compared < 900 {
		t.Errorf("%d methods compared, want nearly all", compared)
	}
}

func TestTheLibraryReadsEveryAnswerAsItsValue(t *testing.T) {
	s := NewSchema()
	const seed = 3
	f := &filler{Rand: rand.New(rand.NewPCG(seed, 0))}
	compared := 0
	for _, name := range typeNames(t, s) {
		typ, ok := types.TypeFunc()(name)
		if !ok || typ.Kind() != reflect.Struct || strings.HasPrefix(name, listPrefix) {
			continue
		}
		if v, keeps := f.request(t, typ); keeps {
			content := strings.TrimSuffix(strings.TrimPrefix(xmlOf(t, v), "<r>"), "</r>")
			got := translated(t, s, answerOf(content), anything)
			read := reflect.New(typ)
			if err := types.NewJSONDecoder(strings.NewReader(got)).Decode(read.Interface()); err != nil {
				t.Errorf("seed %d: %s: %v in %.2000s", seed, name, err, got)
			} else if again := xmlOf(t, read); again != xmlOf(t, v) {
				t.Errorf("seed %d: %s\nis read as %.2000s\nwant       %.2000s", seed, name, again, xmlOf(t, v))
			}
			compared++
		}
	}
	if compared < 3000 {
		t.Errorf("%d types compared, want nearly all", compared)
	}
}
