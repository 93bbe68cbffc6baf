package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

func open(t *testing.T, b behind, err error) *httptest.Server {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(handler(b))
	t.Cleanup(s.Close)
	return s
}

func logIn(t *testing.T, s *httptest.Server) *govmomi.Client {
	t.Helper()
	u, err := url.Parse(s.URL + "/sdk")
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("bench", "bench")
	c, err := govmomi.NewClient(t.Context(), u, true)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func stateOf(t *testing.T, s *httptest.Server) (v State) {
	t.Helper()
	a, err := http.Get(s.URL + "/bench/state")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	if err := json.NewDecoder(a.Body).Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestBothServersCountTheirSessionsAndCanEndThem(t *testing.T) {
	l, errLight := newLight()
	s, errSimulated := newSimulated()
	for name, server := range map[string]*httptest.Server{
		"light": open(t, l, errLight), "simulated": open(t, s, errSimulated),
	} {
		t.Run(name, func(t *testing.T) {
			a, b := logIn(t, server), logIn(t, server)
			if err := a.Logout(t.Context()); err != nil {
				t.Fatal(err)
			}
			if v := stateOf(t, server); v.Sessions != 1 || v.Most != 2 || v.Calls < 5 {
				t.Errorf("%+v after two logins and one logout", v)
			}
			if _, err := methods.GetCurrentTime(t.Context(), b); err != nil {
				t.Errorf("the other session: %v", err)
			}
			end, err := http.Post(server.URL+"/bench/end", "", nil)
			if err != nil || end.StatusCode != http.StatusOK {
				t.Fatal(end, err)
			}
			_ = end.Body.Close()
			if _, err := methods.GetCurrentTime(t.Context(), b); err == nil {
				t.Error("its session goes on")
			}
			if v := stateOf(t, server); v.Sessions != 0 || v.Most != 2 {
				t.Errorf("%+v in the end", v)
			}
		})
	}
}

func TestTheLightServerAnswersReadsOfNamesAndOneLongOne(t *testing.T) {
	l, err := newLight()
	c := logIn(t, open(t, l, err))
	ref := types.ManagedObjectReference{Type: "VirtualMachine", Value: "vm-62"}
	own, err := property.DefaultCollector(c.Client).Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var vm mo.VirtualMachine
	if err := own.RetrieveOne(t.Context(), ref, []string{"name"}, &vm); err != nil || vm.Name != "DC0_H0_VM0" {
		t.Errorf("the name is %q, %v", vm.Name, err)
	}
	r := httptest.NewRequest(http.MethodPost, "/sdk", strings.NewReader(
		`<Envelope><Body><RetrievePropertiesEx xmlns="urn:vim25"><pathSet>config</pathSet></RetrievePropertiesEx>`))
	r.AddCookie(c.Jar.Cookies(c.URL())[0])
	w := httptest.NewRecorder()
	l.ServeHTTP(w, r)
	if n, err := io.Copy(io.Discard, w.Result().Body); n < longAnswer || n > longAnswer+1000 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}
