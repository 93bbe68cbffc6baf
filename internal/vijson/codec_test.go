package vijson

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/schema"
)

// typeNames returns the names of the API's types. It reads them from the library's source.
func typeNames(t *testing.T) []string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/vmware/govmomi/vim25/types").Output()
	if err != nil {
		t.Fatalf("find the types: %v", err)
	}
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(dir)), "types.go"), nil,
		parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range f.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.TYPE {
			names = append(names, g.Specs[0].(*ast.TypeSpec).Name.Name)
		}
	}
	if len(names) < 3000 {
		t.Fatalf("%d types, want all", len(names))
	}
	return names
}

// filler fills values that have only one encoding: required lists are not empty, and times are in UTC.
type filler struct{ *rand.Rand }

// deepest is the depth down to which optional members are filled.
const deepest = 3

func (f filler) fill(t *testing.T, v reflect.Value, depth int) {
	switch {
	case v.Type() == schema.Time:
		v.Set(reflect.ValueOf(time.Unix(f.Int64N(4e9), 1000*f.Int64N(1e6)).UTC()))
		return
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		v.SetBytes([]byte(f.text()))
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
		if depth > deepest {
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(t, v.Elem(), depth+1)
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

func (f filler) fillInterface(t *testing.T, v reflect.Value, depth int) {
	if v.NumMethod() == 0 {
		all := []any{
			"text", true, int32(-3), int64(1 << 60), uint8(3), int16(-4), float64(1e-7), []byte{1, 2},
			time.Unix(5, 0).UTC(), types.ArrayOfString{String: []string{"a"}},
			types.ManagedObjectReference{Type: "A", Value: "b"},
			types.OptionValue{Key: "k", Value: "v"}, types.ManagedEntityStatusRed,
		}
		v.Set(reflect.ValueOf(all[f.IntN(len(all))]))
		return
	}
	base, ok := schema.Declared(v.Type())
	if !ok {
		t.Fatalf("no type for %v", v.Type())
	}
	if depth > deepest {
		return
	}
	p := reflect.New(base)
	f.fill(t, p.Elem(), depth+1)
	v.Set(p)
}

func (f filler) text() string {
	all := []string{"plain", "<a&b>", "quo\"te\\", "line\nend\r\t\x01\x7f", "größe 日本 \u2028", "𝄞", "/"}
	return all[f.IntN(len(all))]
}

// reference returns the library's encoding.
func reference(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	enc := types.NewJSONEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func TestEveryTypeOfTheAPIIsWrittenAndReadAsTheLibraryDoes(t *testing.T) {
	c := newCodec()
	f := filler{rand.New(rand.NewPCG(1, 2))}
	tested := 0
	for _, name := range typeNames(t) {
		typ, ok := c.plans.DataType(name)
		if !ok || typ.Kind() != reflect.Struct {
			continue
		}
		v := reflect.New(typ)
		f.fill(t, v.Elem(), 0)
		e := encoder{codec: c}
		if err := e.encode(v.Interface()); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := reference(t, v.Interface())
		if nulls(want) {
			continue
		}
		if got := string(e.Buf); got != want {
			t.Errorf("%s is written\n%s\nwant\n%s", name, cut(got, want), cut(want, got))
			continue
		}
		back := reflect.New(typ)
		if len(e.Buf) <= maxBody {
			if err := c.decode(e.Buf, back.Interface(), name); err != nil {
				t.Errorf("%s is not read: %v %v", name, err, fmt.Sprintf("%.300s", e.Buf))
				continue
			}
			again := encoder{codec: c}
			if err := again.encode(back.Interface()); err != nil || string(again.Buf) != want {
				t.Errorf("%s is read as\n%s\nwant\n%s", name, cut(string(again.Buf), want),
					cut(want, string(again.Buf)))
			}
		}
		tested++
	}
	t.Logf("%d types", tested)
	if tested < 1500 {
		t.Errorf("%d types were compared, want nearly all", tested)
	}
}

func nulls(s string) bool { return strings.Contains(s, ":null") || strings.Contains(s, "null,") }

// cut returns the part of a around its first difference from b.
func cut(a, b string) string {
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	from := max(0, i-60)
	return a[from:min(len(a), i+60)]
}
