package vijson

import (
	"bytes"
	"iter"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/binding"
)

// bothWays encodes a value with its own encoder and with the general one. The output and the errors must be
// the same.
func bothWays(t *testing.T, c *codec, value any) {
	t.Helper()
	var quick, slow bytes.Buffer
	q := encoder{codec: c, Output: binding.Output{To: &quick}}
	s := encoder{codec: c, Output: binding.Output{To: &slow}}
	quickErr, slowErr := q.encode(value), s.reflect(value)
	quick.Write(q.Buf)
	slow.Write(s.Buf)
	if (quickErr == nil) != (slowErr == nil) {
		t.Fatalf("errors %v and %v", quickErr, slowErr)
	}
	if slowErr == nil && !bytes.Equal(quick.Bytes(), slow.Bytes()) {
		t.Fatalf("encoded as\n%s\nwant\n%s", quick.Bytes(), slow.Bytes())
	}
}

func TestASessionIsEncodedAsAnyValueIs(t *testing.T) {
	c := newCodec()
	f := newFiller()
	var all []types.UserSession
	for range 500 {
		var s types.UserSession
		f.Fill(t, reflect.ValueOf(&s).Elem())
		bothWays(t, c, &s)
		all = append(all, s)
	}
	bothWays(t, c, &types.UserSession{})
	bothWays(t, c, (*types.UserSession)(nil))
	for _, n := range []int{0, 1, 2, 500} { // 500 are more than the buffer holds
		bothWays(t, c, iter.Seq[types.UserSession](slices.Values(all[:n])))
	}
}

func FuzzASessionIsEncodedAsAnyValueIs(f *testing.F) {
	f.Add("key", "DOMAIN\\user", "a \"name\"\x00\u2028", int64(1), int64(-1), "xx", true, int64(17))
	f.Add("\xff", "ä", "\x7f\n", int64(1e10), int64(-1e12), "\xed\xa0\x80", false, int64(-1))
	f.Add("", "", "", int64(1e12), int64(0), "", false, int64(0))
	c := newCodec()
	f.Fuzz(func(t *testing.T, key, user, full string, login, active int64, locale string, extension bool, calls int64) {
		bothWays(t, c, &types.UserSession{
			Key: key, UserName: user, FullName: full, LoginTime: time.Unix(login, active),
			LastActiveTime: time.Unix(active, login), Locale: locale, MessageLocale: locale + user,
			ExtensionSession: extension, IpAddress: full, UserAgent: user + key, CallCount: calls,
		})
	})
}
