package gateway_test

import (
	"strings"
	"testing"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/gateway"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/vim"
)

func TestTheClientsKeyIsTheUpstreamsOnlyWhereASessionIsMeant(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "")
	c := s.login(0)
	// Somebody else could read the upstream's key in a name that the upstream keeps.
	name := "of " + c.key
	vms, err := object.NewSearchIndex(c.Client.Client).FindByInventoryPath(s.ctx(), "/DC0/vm")
	s.must(err)
	f, err := object.NewFolder(c.Client.Client, vms.Reference()).CreateFolder(s.ctx(), name)
	s.must(err)
	if got := d.last("CreateFolder").body; !strings.Contains(got, "<name>"+name+"</name>") {
		t.Errorf("the upstream got\n%s", got)
	}
	got, err := f.ObjectName(s.ctx())
	s.must(err)
	if got != name {
		t.Errorf("the folder is %q, want %q", got, name)
	}
	// The double knows no privileges, so only the request counts.
	_, _ = methods.HasPrivilegeOnEntities(s.ctx(), c.Client.Client, &types.HasPrivilegeOnEntities{
		This:      *c.ServiceContent.AuthorizationManager,
		Entity:    []types.ManagedObjectReference{c.ServiceContent.RootFolder},
		SessionId: c.key, PrivId: []string{"System.View", c.key},
	})
	asked := d.last("HasPrivilegeOnEntities")
	if asked == nil {
		t.Fatal("the upstream was not asked")
	}
	_, session, _ := strings.Cut(asked.body, "<sessionId>")
	session, _, _ = strings.Cut(session, "<")
	known := false
	for _, k := range d.secrets() {
		known = known || session == k
	}
	if !known || !strings.Contains(asked.body, "<privId>"+c.key+"</privId>") {
		t.Errorf("the upstream got\n%s", asked.body)
	}
}

func TestServicesBesideTheSDKGetTheUpstreamsCookieAndNoKeysElsewhere(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "")
	c := s.login(0)
	token := c.Jar.Cookies(mustURL(s.server.URL + "/sdk"))[0].Value
	v, fault := s.front.Begin(s.ctx(), &vim.Call{
		Object: types.ManagedObjectReference{Type: "Path", Value: "/pbm"}, Name: "POST", Token: secret.New(token),
	}, gateway.Access{Prefix: "/pbm", Path: "/pbm"})
	if fault != nil {
		t.Fatal(fault.Cause)
	}
	defer v.Done(nil)
	upstream := v.Session().Key().Reveal()
	message := `<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Header><vcSessionCookie>` +
		strings.ReplaceAll(token, "a", "&#97;") + `</vcSessionCookie></e:Header><e:Body><Find xmlns="urn:pbm">` +
		`<_this>pm</_this><name>` + c.key + `</name></Find></e:Body></e:Envelope>`
	got, refused := v.AskBody(message, true)
	cookie := "<vcSessionCookie>" + v.Session().Cookie().Reveal() + "</vcSessionCookie>"
	if refused != nil || !strings.Contains(got, cookie) ||
		!strings.Contains(got, "<name>"+c.key+"</name>") {
		t.Errorf("the upstream gets\n%s", got)
	}
	for text, want := range map[string]string{
		`{"name":"` + c.key + `"}`: `{"name":"` + c.key + `"}`, "<not a message>": "<not a message>",
	} {
		if got, refused := v.AskBody(text, false); refused != nil || got != want {
			t.Errorf("a body became %s, want %s", got, want)
		}
	}
	for text, strict := range map[string]bool{
		"<not a message>": true, " \n<a/>": true, "\x00<a/>": true, "text": true, `{"session":"` + token + `"}`: false,
		"<a>" + token + "</a>": false, strings.Replace(message, c.key, token, 1): true,
	} {
		if got, refused := v.AskBody(text, strict); refused == nil {
			t.Errorf("%s passes as %s", text, got)
		}
	}
	// The key may be stored wherever it is no credential.
	query := "id=7&token=" + c.key + "&name=" + c.key
	if got, ok := v.AskQuery(query); !ok || got != query {
		t.Errorf("a query became %s", got)
	}
	guest, fault := s.front.Begin(s.ctx(), &vim.Call{
		Object: types.ManagedObjectReference{Type: "Path", Value: "/guestFile"}, Name: "GET", Token: secret.New(token),
	}, gateway.Access{Prefix: "/guestFile", Path: "/guestFile"})
	if fault != nil {
		t.Fatal(fault.Cause)
	}
	defer guest.Done(nil)
	if got, ok := guest.AskQuery(query); !ok || got != "id=7&token="+upstream+"&name="+c.key {
		t.Errorf("a query of a guest file became %s", got)
	}
	if got, ok := v.Ask("/folder/" + c.key); !ok || got != "/folder/"+c.key {
		t.Errorf("a path became %s", got)
	}
}
