package translation_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/fault"
	gosession "github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	gosoap "github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/domain"
	"github.com/vigate/vigate/internal/gateway"
	"github.com/vigate/vigate/internal/property"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/soap"
	"github.com/vigate/vigate/internal/translation"
	"github.com/vigate/vigate/internal/upstream"
	"github.com/vigate/vigate/internal/upstream/settings"
	"github.com/vigate/vigate/internal/vijson"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

// openUpstream opens the simulator at the URL as an upstream with one account.
func openUpstream(t testing.TB, at *url.URL) *upstream.Upstream {
	t.Helper()
	file := filepath.Join(t.TempDir(), "svc")
	if err := os.WriteFile(file, []byte("right\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var all []settings.Config
	text := "data: /tmp\nupstreams:\n  - name: lab\n    url: http://" + at.Host + "/sdk\n" +
		"    plain-http: 127.0.0.1:0\n    accounts:\n      - name: svc\n        username: svc\n" +
		"        password-file: " + file + "\n"
	if _, err := config.Load("vigate.yaml", []byte(text), nil, settings.Section("vigate.yaml", &all)); err != nil {
		t.Fatal(err)
	}
	up, err := upstream.Open(all[0], upstream.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		up.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = up.Drain(ctx)
	})
	return up
}

// wholeFront returns a server that is a front with the simulator behind, for clients of SOAP and of JSON.
func wholeFront(t testing.TB) *httptest.Server {
	t.Helper()
	model := simulator.VPX()
	if err := model.Create(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(model.Remove)
	model.Service.Listen = &url.URL{Host: "127.0.0.1:0", User: url.UserPassword("svc", "right")}
	behind := model.Service.NewServer()
	t.Cleanup(behind.Close)
	up := openUpstream(t, behind.URL)
	logger := slog.New(slog.DiscardHandler)
	own := vimtest.Open(t, vimtest.Config{
		Logger:  logger,
		Objects: func(a *vim.API, d *domain.Domain) error { return property.Serve(a, d.Sessions) },
	})
	own.Found(vimtest.AdminPassword,
		vimtest.User{Name: vimtest.AnnName, Password: vimtest.AnnPassword, Role: access.ReadOnly})
	account, _ := up.Account("svc")
	bodies, local, mux := binding.NewBodies(0), http.NewServeMux(), http.NewServeMux()
	soap.Mount(local, own.API, bodies, soap.Options{Version: "8.0.3.0", Logger: logger})
	front := gateway.New(gateway.Options{
		API: own.API, Upstream: up, Local: local, Fault: soap.Faults(own.API), Bodies: bodies, Logger: logger,
		Choose: func(*session.Live) (*upstream.Account, error) { return account, nil },
	})
	mux.Handle("/sdk", front)
	vijson.MountWith(mux, own.API, bodies, translation.New(translation.Over(front,
		func(ctx context.Context) (*types.ServiceContent, error) {
			content, err := up.Content(ctx)
			if err != nil {
				return nil, err
			}
			return &content.ServiceContent, nil
		})), "SessionManager")
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.Close()
		own.Drain()
	})
	return server
}

// clientOf returns a client of the front that is logged in.
func clientOf(ctx context.Context, t testing.TB, at string, json bool) *vim25.Client {
	t.Helper()
	u, err := gosoap.ParseURL(at + "/sdk")
	if err != nil {
		t.Fatal(err)
	}
	s := gosoap.NewClient(u, true)
	s.UseJSON(json)
	s.Namespace, s.Version = "vim25", "8.0.3.0"
	c, err := vim25.NewClient(ctx, s)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	err = gosession.NewManager(c).Login(ctx, url.UserPassword(vimtest.AnnName, vimtest.AnnPassword))
	if err != nil {
		t.Fatalf("log in: %v", err)
	}
	return c
}

func TestAFrontServesTheSameOverJSONAsOverSOAP(t *testing.T) {
	front := wholeFront(t)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	c := clientOf(ctx, t, front.URL, true)
	over := clientOf(ctx, t, front.URL, false)
	want, got := everything(ctx, t, over), everything(ctx, t, c)
	if len(want) < 100 {
		t.Fatalf("%d properties", len(want))
	}
	for name, value := range want {
		if a, b := texted(t, got[name]), texted(t, value); a != b {
			t.Errorf("%s is %.600s\nwant %.600s", name, a, b)
		}
	}
	// The session is that of the front, read through its SessionManager or a PropertyCollector.
	s, err := gosession.NewManager(c).UserSession(ctx)
	if err != nil || s == nil || s.UserName != vimtest.AnnName {
		t.Errorf("the session: %+v %v", s, err)
	}
	if err := gosession.NewManager(c).Logout(ctx); err != nil {
		t.Errorf("log out: %v", err)
	}
	_, err = methods.RefreshStorageInfo(ctx, c, &types.RefreshStorageInfo{
		This: types.ManagedObjectReference{Type: "VirtualMachine", Value: "vm-62"}})
	if !fault.Is(err, &types.NotAuthenticated{}) {
		t.Errorf("after the logout: %v", err)
	}
}

// The goal is at least half the rate of the same over SOAP on the front.
func BenchmarkAPropertyOfAFront(b *testing.B) {
	front := wholeFront(b)
	read := func(b *testing.B, q func() *http.Request) {
		b.Helper()
		for b.Loop() {
			res, err := http.DefaultClient.Do(q())
			if err != nil {
				b.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if err != nil || !strings.Contains(string(body), "DC0_H0_VM0") {
				b.Fatalf("%s %v", body, err)
			}
		}
	}
	res, err := http.Post(front.URL+base+"SessionManager/SessionManager/Login", "application/json",
		strings.NewReader(`{"userName":"VSPHERE.LOCAL\\Ann","password":"`+vimtest.AnnPassword+`"}`))
	if err != nil {
		b.Fatal(err)
	}
	_ = res.Body.Close()
	token := res.Header.Get("vmware-api-session-id")
	request := func(method, path, body string) *http.Request {
		r, err := http.NewRequestWithContext(b.Context(), method, front.URL+path, strings.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		r.Header.Set("vmware-api-session-id", token)
		if method == "POST" {
			r.Header.Set("Content-Type", "text/xml")
		}
		return r
	}
	const vm = "vm-62"
	b.Run("JSON", func(b *testing.B) {
		read(b, func() *http.Request { return request("GET", base+"VirtualMachine/"+vm+"/name", "") })
	})
	b.Run("SOAP", func(b *testing.B) {
		message := retrieval(vm)
		read(b, func() *http.Request { return request("POST", "/sdk", message) })
	})
}

// retrieval returns the message with which clients read the name of a virtual machine.
func retrieval(vm string) string {
	return `<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body><RetrievePropertiesEx ` +
		`xmlns="urn:vim25"><_this type="PropertyCollector">propertyCollector</_this><specSet><propSet><type>` +
		`VirtualMachine</type><pathSet>name</pathSet></propSet><objectSet><obj type="VirtualMachine">` + vm +
		`</obj><skip>false</skip></objectSet></specSet><options></options></RetrievePropertiesEx></Body></Envelope>`
}
