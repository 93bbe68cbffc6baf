package translation_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/property"
	"github.com/vigate/vigate/internal/soap"
	"github.com/vigate/vigate/internal/translation"
	"github.com/vigate/vigate/internal/vijson"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

func contentOf(context.Context) (*types.ServiceContent, error) { return &answers("").content, nil }

// over returns the VI JSON of a front that is a handler of SOAP.
func over(t *testing.T, h http.HandlerFunc) http.Handler {
	t.Helper()
	return handler(t, translation.Over(h, contentOf))
}

func TestAHandlerOfSOAPGetsTheRequestOfTheClient(t *testing.T) {
	h := over(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || !strings.Contains(string(body), "<CancelTask ") || int64(len(body)) != r.ContentLength ||
			r.Method != "POST" || r.URL.Path != "/sdk" || r.Host != "example.com" ||
			r.Header.Get("Content-Type") != "text/xml; charset=utf-8" ||
			r.Header.Get("SOAPAction") != "urn:vim25/8.0.2.0" ||
			r.Header.Get("vmware-api-session-id") != "token" || r.Header.Get("Accept-Encoding") != "" {
			t.Errorf("%s %s %s %v %s %v", r.Method, r.URL, r.Host, r.Header, body, err)
		}
		_, _ = io.WriteString(w, envelope("CancelTask", ""))
	})
	w := send(h, "POST", base+"Task/t/CancelTask", "{}", "Content-Type", "application/json", "Accept-Encoding", "gzip",
		"vmware-api-session-id", "token")
	if w.Code != 204 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestAHandlerOfSOAPEndsWithItsRequest(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter)
		status int
	}{
		"nothing":    {func(http.ResponseWriter) {}, 500},
		"an error":   {func(w http.ResponseWriter) { http.Error(w, "busy", http.StatusServiceUnavailable) }, 503},
		"no content": {func(w http.ResponseWriter) { w.WriteHeader(204) }, 503},
		"a panic":    {func(http.ResponseWriter) { panic(errors.New("inside")) }, 500},
		"a fault": {func(w http.ResponseWriter) {
			w.WriteHeader(500)
			_, _ = io.WriteString(w, faultEnvelope(""))
		}, 500},
		"cut": {func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, "<a>")
			panic(http.ErrAbortHandler)
		}, 500},
		"far more": {func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, "<a></a>"+strings.Repeat("b", 1<<20))
		}, 500},
	} {
		ended := 0
		h := over(t, func(w http.ResponseWriter, r *http.Request) {
			defer func() { ended++ }()
			c.answer(w)
		})
		w := send(h, "POST", base+"Task/t/CancelTask", "")
		if w.Code != c.status || !strings.Contains(w.Body.String(), "faultstring") || ended != 1 {
			t.Errorf("%s: %d %s, ended %d", name, w.Code, w.Body, ended)
		}
	}
}

func TestARefusalKeepsItsTextAndWhenToTryAgain(t *testing.T) {
	refusal := func(text string) string {
		return strings.Replace(faultEnvelope(""), "</faultstring>", text+"</faultstring>", 1)
	}
	for name, c := range map[string]struct{ body, after, want, wantAfter string }{
		"of the front": {refusal("nobody &amp; nothing is free"), "7", "nobody & nothing is free", "7"},
		"without time": {refusal("later"), "", "later", ""},
		"of a proxy":   {"<html>down</html>", "9", "", "2"},
		"far too long": {refusal(strings.Repeat("x", 100_000)), "7", "", "2"},
	} {
		h := over(t, func(w http.ResponseWriter, r *http.Request) {
			if c.after != "" {
				w.Header().Set("Retry-After", c.after)
			}
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, c.body)
		})
		w := send(h, "POST", base+"Task/t/CancelTask", "")
		var got map[string]string
		err := json.Unmarshal(w.Body.Bytes(), &got)
		if err != nil || w.Code != 503 || len(got) != 1 || !strings.Contains(got["faultstring"], c.want) ||
			got["faultstring"] == "" || w.Header().Get("Retry-After") != c.wantAfter {
			t.Errorf("%s: %d %v %.300s, %v", name, w.Code, w.Header(), w.Body, err)
		}
	}
}

func TestAHandlerOfSOAPIsCancelledWhenItsClientGoes(t *testing.T) {
	started := make(chan struct{})
	cancelled := false
	h := over(t, func(_ http.ResponseWriter, r *http.Request) {
		close(started)
		<-r.Context().Done()
		cancelled = true
	})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-started
		cancel()
	}()
	r := httptest.NewRequest("POST", base+"Task/t/CancelTask", nil).WithContext(ctx)
	h.ServeHTTP(httptest.NewRecorder(), r)
	if !cancelled {
		t.Error("the handler goes on")
	}
}

// The binding for SOAP of this server as the server behind: the types of here are served without it.
func TestOnlyCallsToOtherTypesArePassedOn(t *testing.T) {
	f := vimtest.New(t)
	f.Must(property.Serve(f.API, f.Sessions))
	behind := http.NewServeMux()
	soap.Mount(behind, f.API, binding.NewBodies(0), soap.Options{
		Version: "9.1.0.0", Logger: slog.New(slog.DiscardHandler),
	})
	passed := 0
	counted := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		passed++
		behind.ServeHTTP(w, r)
	})
	content := &types.ServiceContent{
		About: types.AboutInfo{ApiVersion: "9.1.0.0"}, PropertyCollector: f.Ref("PropertyCollector"),
	}
	front := translation.New(translation.Over(counted, func(context.Context) (*types.ServiceContent, error) {
		return content, nil
	}))
	mux, plain := http.NewServeMux(), http.NewServeMux()
	vijson.MountWith(mux, f.API, binding.NewBodies(0), front, "SessionManager")
	vijson.Mount(plain, f.API, binding.NewBodies(0))
	for path, wantPassed := range map[string]int{
		"ServiceInstance/ServiceInstance/content": 1, "SessionManager/SessionManager/currentSession": 0,
		"AuthorizationManager/AuthorizationManager/roleList": 1, "EventManager/EventManager/latestEvent": 1,
		"ServiceInstance/other/content": 1, "SessionManager/SessionManager/nothing": 0,
		"AuthorizationManager/AuthorizationManager/privilegeList": 1, "OptionManager/VpxSettings/setting": 1,
	} {
		passed = 0
		var got [2]*httptest.ResponseRecorder
		for i, h := range []http.Handler{mux, plain} {
			got[i] = send(h, "GET", base+path, "", "vmware-api-session-id", f.Admin)
		}
		if passed != wantPassed || got[0].Code != got[1].Code || (got[0].Code == 200 || got[0].Code == 500) &&
			!sameJSON(t, got[0].Body.String(), got[1].Body.String()) {
			t.Errorf("%s, passed on %d times: %d %.600s\nwant %d %.600s", path, passed, got[0].Code, got[0].Body,
				got[1].Code, got[1].Body)
		}
	}
}
