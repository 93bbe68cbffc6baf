package hop_test

import (
	"io"
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vigate/vigate/internal/gateway/hop"
)

func TestNeitherCredentialsNorTheConnectionPass(t *testing.T) {
	same := func(s string) string { return strings.ToUpper(s) }
	request := http.Header{
		"Cookie": {"a=b"}, "Authorization": {"Basic x"}, "Vmware-Api-Session-Id": {"x"}, "Accept-Encoding": {"gzip"},
		"Connection": {"close, X-Mine", "y-mine"}, "X-Mine": {"1"}, "Y-Mine": {"1"}, "Te": {"trailers"},
		"Soapaction": {"urn:vim25/8.0"}, "X-Other": {"1", "2"},
	}
	if got := hop.Request(request); len(got) != 2 || len(got["X-Other"]) != 2 || got.Get("SOAPAction") == "" {
		t.Errorf("the request goes with %v", got)
	}
	answer := http.Header{
		"Set-Cookie": {"a=b"}, "Vmware-Api-Session-Id": {"x"}, "Content-Length": {"7"}, "Content-Type": {"text/xml"},
		"Www-Authenticate": {"Basic"},
	}
	before := maps.Clone(answer)
	if got := hop.Answer(answer, same); len(got) != 1 || got.Get("Content-Type") != "TEXT/XML" {
		t.Errorf("the answer goes with %v", got)
	}
	if !maps.EqualFunc(before, answer, func(a, b []string) bool { return a[0] == b[0] }) {
		t.Error("the upstream's headers are changed")
	}
}

func TestASourceTellsWhetherItWasRead(t *testing.T) {
	var read atomic.Bool
	s := hop.NewSource([]byte("abc"), &read)
	if read.Load() {
		t.Error("it is read before it is")
	}
	if b, err := io.ReadAll(s); err != nil || string(b) != "abc" || !read.Load() {
		t.Errorf("%q %v %v", b, err, read.Load())
	}
}

func TestOnlyUTF8IsSaidToBeUTF8(t *testing.T) {
	for value, want := range map[string]bool{
		"text/xml": true, "text/xml; charset=utf-8": true, `text/xml; charset="UTF-8"`: true, "": true,
		"text/xml; charset=utf-16": false, "text/xml; charset=utf-7": false,
	} {
		if got := hop.InUTF8(http.Header{"Content-Type": {value}}); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
	if got := hop.Printable("a b\n" + strings.Repeat("x", 999)); !strings.HasPrefix(got, "a.b.x") || len(got) != 128 {
		t.Errorf("the log gets %q", got)
	}
}
