package vijson

import (
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"
)

// costly are bodies that are valid, or nearly valid, and as expensive to decode as possible.
var costly = map[string]string{
	"many polymorphic elements": `{"changedValue":[` +
		strings.Repeat(`{"_typeName":"OptionValue","key":"a","value":{"_typeName":"string","_value":""}},`, 12_000) +
		`{"_typeName":"OptionValue","key":"a","value":{"_typeName":"string","_value":""}}]}`,
	"types named last": option(strings.Repeat(`{"faultCause":{"localizedMessage":"`+strings.Repeat("x", 8000)+
		`","fault":`, 29) +
		`{"faultMessage":[{"key":"` + strings.Repeat("y", 600_000) + `"}],"_typeName":"NotFound"}` +
		strings.Repeat(`},"_typeName":"NotFound"}`, 29)),
	"large structs": option(`{"_typeName":"ArrayOfVirtualMachineConfigSpec","_value":[{}` +
		strings.Repeat(",{}", 300_000) + `]}`),
	"many keys": `{` + strings.Repeat(`"k":1,`, 150_000) + `"k":1}`,
	"escapes": `{"changedValue":[{"_typeName":"OptionValue","key":"` + strings.Repeat(`\u0061`, 150_000) +
		`","value":{"_typeName":"int","_value":1}}]}`,
}

func TestNoBodyTakesMuchMemory(t *testing.T) {
	c := newCodec()
	for what, body := range costly {
		if len(body) > maxBody {
			t.Errorf("%s: %d bytes would not be read", what, len(body))
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_ = c.decode([]byte(body), new(types.UpdateOptionsRequestType), "UpdateOptions")
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 5*maxMemory {
			t.Errorf("%s: %d MiB were allocated", what, got>>20)
		}
	}
}

func TestWhatIsLegalIsReadAtItsWorst(t *testing.T) {
	c := newCodec()
	for _, what := range []string{"many polymorphic elements", "types named last", "escapes"} {
		var r types.UpdateOptionsRequestType
		if err := c.decode([]byte(costly[what]), &r, "UpdateOptions"); err != nil ||
			reflect.ValueOf(r.ChangedValue).Len() == 0 {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func BenchmarkDecodeAtItsWorst(b *testing.B) {
	for what, body := range costly {
		b.Run(what, func(b *testing.B) {
			c := newCodec()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				_ = c.decode([]byte(body), new(types.UpdateOptionsRequestType), "UpdateOptions")
			}
		})
	}
}
