package clientenv

import (
	"reflect"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/secret/secrettest"
)

func TestURLsAreParsedInAllForms(t *testing.T) {
	for raw, want := range map[string]Address{
		"host":                     {URL: "https://host"},
		"Host:443/sdk":             {URL: "https://host"},
		"localhost:8989":           {URL: "https://localhost:8989"},
		"https://host/":            {URL: "https://host"},
		"http://127.0.0.1:80/sdk/": {URL: "http://127.0.0.1"},
		"[::1]:8989":               {URL: "https://[::1]:8989"},
		" host ":                   {URL: "https://host"},
		"bob@host":                 {URL: "https://host", User: "bob"},
		"bob@vsphere.local:p@ss@host/sdk": {
			URL: "https://host", User: "bob@vsphere.local", Password: secret.New("p@ss"), HasPassword: true,
		},
		"https://bob:p%2Fss@host/sdk": {
			URL: "https://host", User: "bob", Password: secret.New("p/ss"), HasPassword: true,
		},
		"unix:///run/vigate/socket": {URL: "unix:///run/vigate/socket", Socket: "/run/vigate/socket"},
		"https://VSPHERE.LOCAL%5Cbob:x@host": {
			URL: "https://host", User: `VSPHERE.LOCAL\bob`, Password: secret.New("x"), HasPassword: true,
		},
	} {
		got, err := ParseAddress(raw)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v; want %+v", raw, got, err, want)
		}
	}
	for _, raw := range []string{"", "ftp://host", "https://", "host/ui", "host?x=1", "host#x",
		"https://a:secret-word@ho st", "unix:relative", "unix://host/path", "https://bob:secret-word@host:port"} {
		if got, err := ParseAddress(raw); err == nil {
			t.Errorf("%q was parsed as %+v", raw, got)
		} else if strings.Contains(err.Error(), "secret-word") {
			t.Errorf("the error repeats the Password: %v", err)
		}
	}
}

func TestAnAddressDoesNotShowItsPassword(t *testing.T) {
	a, err := ParseAddress("https://bob:secret-word@host")
	if err != nil || a.Password.Reveal() != "secret-word" {
		t.Fatal(err)
	}
	secrettest.Hides(t, "secret-word", a)
	secrettest.Hides(t, "secret-word", &a)
}

func FuzzAddress(f *testing.F) {
	for _, seed := range []string{"host", "bob:x@host:1/sdk", "unix:///x", "http://[::1]", "https://a%zz@b", ":",
		"//"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		a, err := ParseAddress(raw)
		if err != nil {
			return
		}
		again, err := ParseAddress(a.URL)
		if err != nil || again.URL != a.URL || again.User != "" || again.HasPassword {
			t.Errorf("%q became %q, which is read as %+v, %v", raw, a.URL, again, err)
		}
	})
}

func TestAPasswordIsThatOfTheUserItStandsBeside(t *testing.T) {
	for _, c := range []struct{ url, user, password, want string }{
		{"https://bob:in-url@a", "", "", "in-url"},
		{"https://bob:in-url@a", "BOB", "", "in-url"},
		{"https://bob:in-url@a", "", "variable", "variable"},
		{"https://bob:in-url@a", "eve", "variable", "variable"},
		{"https://bob:in-url@a", "eve", "", ""}, // of another user
		{"https://bob@a", "", "", ""},
	} {
		for _, prefix := range []string{"VIGATE_", "GOVC_"} {
			e := New(func(name string) (string, bool) {
				value, ok := map[string]string{
					prefix + "URL": c.url, prefix + "USERNAME": c.user, prefix + "PASSWORD": c.password,
				}[name]
				return value, ok
			})
			at, err := e.Address()
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := e.Password(at); got != c.want || ok != (c.want != "") {
				t.Errorf("%s %+v: %q, %t", prefix, c, got, ok)
			}
		}
	}
}
