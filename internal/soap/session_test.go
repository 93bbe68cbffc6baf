package soap

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/vim"
)

// bothWays encodes a value with its own encoder and with the general one. The output and the errors must be
// the same.
func bothWays(t *testing.T, c *codec, quick, slow func(*encoder)) {
	t.Helper()
	for _, release := range []vim.Release{{}, {4, 1}, {5}, {5, 0, 0, 1}, {5, 1}, newest} {
		var all [2]bytes.Buffer
		var errs [2]error
		for i, write := range []func(*encoder){quick, slow} {
			e := encoder{codec: c, release: release, Output: binding.Output{To: &all[i]}}
			write(&e)
			all[i].Write(e.Buf)
			errs[i] = e.Err
		}
		if fmt.Sprint(errs[0]) != fmt.Sprint(errs[1]) {
			t.Fatalf("errors %v and %v", errs[0], errs[1])
		}
		if errs[0] == nil && !bytes.Equal(all[0].Bytes(), all[1].Bytes()) {
			t.Fatalf("encoded as\n%s\nwant\n%s", all[0].Bytes(), all[1].Bytes())
		}
	}
}

func sessionBothWays(t *testing.T, c *codec, s *types.UserSession) {
	t.Helper()
	for _, typed := range []bool{false, true} {
		bothWays(t, c, func(e *encoder) { e.session("val", s, typed) },
			func(e *encoder) { e.structure("val", reflect.ValueOf(s).Elem(), typed) })
	}
}

func retrievedBothWays(t *testing.T, c *codec, r *types.RetrieveResult) {
	t.Helper()
	bothWays(t, c, func(e *encoder) { e.retrieved("returnval", r) },
		func(e *encoder) { e.element("returnval", reflect.ValueOf(r), false) })
}

func TestASessionIsEncodedAsAnyValueIs(t *testing.T) {
	c := newCodec()
	f := newFiller(1, 2)
	for range 500 {
		var s types.UserSession
		f.Fill(t, reflect.ValueOf(&s).Elem())
		sessionBothWays(t, c, &s)
	}
	sessionBothWays(t, c, &types.UserSession{})
	sessionBothWays(t, c, &types.UserSession{LoginTime: time.Unix(1e12, 0)})
}

func FuzzASessionIsEncodedAsAnyValueIs(f *testing.F) {
	f.Add("key", "DOMAIN\\user", "a \"name\"\x00\u2028", int64(1), int64(-1), "xx", true, int64(17))
	f.Add("\xff", "ä", "\x7f\n\r\t", int64(1e10), int64(-1e12), "\xed\xa0\x80", false, int64(-1))
	f.Add("", "<&>", "\ufffe", int64(1e12), int64(0), "", false, int64(0))
	c := newCodec()
	f.Fuzz(func(t *testing.T, key, user, full string, login, active int64, locale string, extension bool, calls int64) {
		sessionBothWays(t, c, &types.UserSession{
			Key: key, UserName: user, FullName: full, LoginTime: time.Unix(login, active),
			LastActiveTime: time.Unix(active, login), Locale: locale, MessageLocale: locale + user,
			ExtensionSession: extension, IpAddress: full, UserAgent: user + key, CallCount: calls,
		})
	})
}

func TestWhatIsRetrievedIsEncodedAsAnyValueIs(t *testing.T) {
	c := newCodec()
	f := newFiller(3, 4)
	for range 500 {
		var r types.RetrieveResult
		f.Fill(t, reflect.ValueOf(&r).Elem())
		retrievedBothWays(t, c, &r)
	}
	s := someSession()
	many := types.ObjectContent{}
	for _, v := range []any{
		s, &s, (*types.UserSession)(nil), nil, "", "a<b", types.ManagedEntityStatusRed, new("a"),
		&types.AboutInfo{Name: "n"}, types.ArrayOfUserSession{UserSession: []types.UserSession{s, s}},
		[]string{"a"}, []types.BaseEvent{&types.UserLoginSessionEvent{}},
		types.ManagedObjectReference{Type: "T", Value: "v"}, s.LoginTime, int32(1), true, []byte{1},
		types.ArrayOfString{String: []string{strings.Repeat("x", binding.FlushAt), "y"}}, make(chan int), time.Time{},
	} {
		p := types.DynamicProperty{Name: "a&b", Val: v}
		object := types.ObjectContent{PropSet: []types.DynamicProperty{p, {Name: "n", Val: "v"}}}
		retrievedBothWays(t, c, &types.RetrieveResult{Objects: []types.ObjectContent{object}})
		if reflect.ValueOf(v).Kind() != reflect.Chan {
			many.PropSet = append(many.PropSet, p)
		}
	}
	many.MissingSet = []types.MissingProperty{{Path: "p",
		Fault: types.LocalizedMethodFault{Fault: &types.NoPermission{}, LocalizedMessage: "<no>"}}}
	for n := range 4 {
		retrievedBothWays(t, c, &types.RetrieveResult{Token: strings.Repeat("<", n),
			Objects: []types.ObjectContent{many, {}, many}[:min(n, 3)]})
	}
}
