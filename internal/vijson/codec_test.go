package vijson

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/schema"
	"github.com/vigate/vigate/internal/schema/schematest"
)

// newFiller returns a filler with values that JSON, or the library's codec, finds hard.
func newFiller() *schematest.Filler {
	octets := func(f *schematest.Filler) any { return []byte(f.Text()) }
	return &schematest.Filler{
		Rand:  rand.New(rand.NewPCG(1, 2)),
		Texts: []string{"plain", "<a&b>", "quo\"te\\", "line\nend\r\t\x01\x7f", "größe 日本 \u2028", "𝄞", "/"},
		Any: []any{
			"text", true, int32(-3), int64(1 << 60), uint8(3), int16(-4), float64(1e-7), []byte{1, 2},
			time.Unix(5, 0).UTC(), types.ArrayOfString{String: []string{"a"}},
			types.ManagedObjectReference{Type: "A", Value: "b"},
			types.OptionValue{Key: "k", Value: "v"}, types.ManagedEntityStatusRed,
		},
		Fixed: map[reflect.Type]func(*schematest.Filler) any{
			schema.Bytes: octets, reflect.TypeFor[types.ByteSlice](): octets,
		},
	}
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
	f := newFiller()
	tested := 0
	for _, name := range schema.Names() {
		typ, ok := c.plans.DataType(name)
		// The library has no names in JSON for the members of these types, and writes those of Go.
		unnamed := strings.Contains(name, "PlaceVmsXCluster")
		if !ok || typ.Kind() != reflect.Struct || unnamed {
			continue
		}
		v := reflect.New(typ)
		f.Fill(t, v.Elem())
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
