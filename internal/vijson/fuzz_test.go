package vijson

import (
	"bytes"
	"errors"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/vim"
)

// requests are types of arguments, one for each shape that a body can have.
var requests = []reflect.Type{
	reflect.TypeFor[types.LoginRequestType](),
	reflect.TypeFor[types.TerminateSessionRequestType](),
	reflect.TypeFor[types.AcquireGenericServiceTicketRequestType](),
	reflect.TypeFor[types.UpdateOptionsRequestType](),
	reflect.TypeFor[types.PostEventRequestType](),
	reflect.TypeFor[types.QueryEventsRequestType](),
	reflect.TypeFor[types.RegisterExtensionRequestType](),
	reflect.TypeFor[types.RemoveAuthorizationRoleRequestType](),
	reflect.TypeFor[helloSpec](),
}

// If a body is accepted, the library decodes it to the same value. If it is refused, the fault is one of
// two.
func FuzzBody(f *testing.F) {
	for _, c := range bad {
		if len(c.body) > 20_000 {
			continue // the mutator copies each seed many times
		}
		for i := range requests {
			f.Add(byte(i), []byte(c.body))
		}
	}
	f.Add(byte(0), []byte(`{"_typeName":"LoginRequestType","userName":"a","password":"b\u00e4"}`))
	f.Add(byte(2), []byte(`{"spec":{"_typeName":"SessionManagerHttpServiceRequestSpec","method":"httpGet","url":"/"}}`))
	f.Add(byte(3), []byte(option(`{"_typeName":"ArrayOfString","_value":["x"]}`)))
	f.Add(byte(4), []byte(`{"eventToPost":{"_typeName":"EventEx","key":1,"chainId":1,`+
		`"createdTime":"2024-01-01T00:00:00Z","userName":"","eventTypeId":"x"}}`))
	c := newCodec()
	f.Fuzz(func(t *testing.T, which byte, body []byte) {
		typ := requests[int(which)%len(requests)]
		v := reflect.New(typ)
		if err := c.decode(body, v.Interface(), typ.Name()); err != nil {
			var fault *vim.Fault
			if !errors.As(err, &fault) || fault.Kind() != "InvalidRequest" && fault.Kind() != "InvalidArgument" {
				t.Fatalf("%v", err)
			}
			return
		}
		e := encoder{codec: c}
		if err := e.encode(v.Interface()); err != nil {
			t.Fatalf("what was read can't be written: %v", err)
		}
		again := reflect.New(typ)
		if err := c.decode(e.Buf, again.Interface(), typ.Name()); err != nil {
			t.Fatalf("%s is not read again: %v", e.Buf, err)
		}
		// The library supports neither boxed references nor base64Binary.
		if typ == requests[len(requests)-1] || bytes.Contains(body, []byte(`_value`)) ||
			len(bytes.TrimSpace(body)) == 0 {
			return
		}
		theirs := reflect.New(typ)
		if err := types.NewJSONDecoder(bytes.NewReader(e.Buf)).Decode(theirs.Interface()); err != nil {
			t.Fatalf("the library refuses %s: %v", e.Buf, err)
		}
		other := encoder{codec: c}
		if err := other.encode(theirs.Interface()); err != nil || !bytes.Equal(other.Buf, e.Buf) {
			t.Fatalf("read as\n%s\nby the library as\n%s", e.Buf, other.Buf)
		}
	})
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{
		"8.0.1.0/SessionManager/SessionManager/Login", "8.0.1.0/A/session%5B1%5D2/b", "8.0.1.0/A/%2F%00/b", "//",
		"8.0.1.0/%/a/b",
		"9.1.0.0/A/\xff/b", "8.0.1.0/A/%ff/b", strings.Repeat("8.", 100) + "/a/b/c",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got, err := parsePath(path, true)
		if u, bad := url.ParseRequestURI("/" + path); bad == nil && u.RawPath == "" {
			// The handler does this if RawPath is empty.
			plain, plainErr := parsePath(u.Path[1:], false)
			slow, slowErr := parsePath(u.EscapedPath()[1:], true)
			if plain != slow || plainErr != slowErr {
				t.Fatalf("%+v, %v, but escaped %+v, %v", plain, plainErr, slow, slowErr)
			}
		}
		if err != nil {
			return
		}
		again, err := parsePath(got.release.String()+"/"+url.PathEscape(got.object.Type)+"/"+
			url.PathEscape(got.object.Value)+"/"+url.PathEscape(got.name), true)
		if err != nil || again != got {
			t.Fatalf("%+v, then %+v, %v", got, again, err)
		}
	})
}
