package gateway_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// names returns the names of all machines, by a container view.
func (c *client) names() ([]string, error) {
	ctx := c.s.ctx()
	v, err := view.NewManager(c.Client.Client).CreateContainerView(ctx, c.ServiceContent.RootFolder,
		[]string{"VirtualMachine"}, true)
	if err != nil {
		return nil, err
	}
	var vms []mo.VirtualMachine
	if err := v.Retrieve(ctx, []string{"VirtualMachine"}, []string{"name"}, &vms); err != nil {
		return nil, err
	}
	var names []string
	for _, vm := range vms {
		names = append(names, vm.Name)
	}
	slices.Sort(names)
	return names, v.Destroy(ctx)
}

var allNames = []string{"DC0_C0_RP0_VM0", "DC0_C0_RP0_VM1", "DC0_C0_RP0_VM2", "DC0_H0_VM0", "DC0_H0_VM1", "DC0_H0_VM2"}

func TestClientsReadAndChangeThroughAFront(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "")
	for n := range 3 {
		c := s.login(n)
		if got, err := c.names(); err != nil || !slices.Equal(got, allNames) {
			t.Errorf("machines %q, %v", got, err)
		}
		finder := find.NewFinder(c.Client.Client)
		vm, err := finder.VirtualMachine(s.ctx(), "/DC0/vm/DC0_H0_VM0")
		s.must(err)
		task, err := vm.PowerOff(s.ctx())
		s.must(err)
		s.must(task.Wait(s.ctx()))
		task, err = vm.PowerOn(s.ctx())
		s.must(err)
		s.must(task.Wait(s.ctx()))
		me, err := c.SessionManager.UserSession(s.ctx())
		s.must(err)
		if me.Key != c.key || !strings.EqualFold(me.UserName, userName(n)) {
			t.Errorf("the session is %+v", me)
		}
	}
	if n := d.count("Login"); n != 1 {
		t.Errorf("%d logins at the upstream for calls one after the other", n)
	}
	if log := s.log.String(); !strings.Contains(log, "operation=VirtualMachine.PowerOffVM_Task outcome=success") {
		t.Error("a change has no audit line")
	}
}

func TestStrangersGetTheContentAndNothingElse(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "")
	c := s.login(0)
	before := d.total()
	s.must(c.Logout(s.ctx()))
	content, err := methods.GetServiceContent(s.ctx(), c.Client)
	s.must(err)
	if about := c.ServiceContent.About; content.About.InstanceUuid != about.InstanceUuid ||
		content.SessionManager.Value != "SessionManager" {
		t.Errorf("the content is %+v", content)
	}
	status, answer := c.post(envelope(`<Fetch xmlns="urn:vim25"><_this type="ServiceInstance">ServiceInstance</_this>` +
		`<prop>content</prop></Fetch>`))
	if status != http.StatusOK || !strings.Contains(answer, `type="ServiceContent"`) ||
		!strings.Contains(answer, "<FetchResponse") || !strings.Contains(answer, "<sessionManager") {
		t.Errorf("Fetch of the content: %d %s", status, answer)
	}
	_, err = methods.GetCurrentTime(s.ctx(), c.Client)
	if !isFault[types.NotAuthenticated](err) {
		t.Errorf("a call without a session: %v", err)
	}
	var me mo.Folder
	err = property.DefaultCollector(c.Client.Client).RetrieveOne(s.ctx(), content.RootFolder, []string{"name"}, &me)
	if !isFault[types.NotAuthenticated](err) {
		t.Errorf("a read without a session: %v", err)
	}
	if n := d.total(); n != before {
		t.Errorf("the upstream was asked %d times", n-before)
	}
}

func envelope(body string) string {
	return `<?xml version="1.0" encoding="UTF-8"?>` +
		`<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body>` + body + `</Body></Envelope>`
}

// find returns a machine's reference.
func (c *client) machine(name string) types.ManagedObjectReference {
	c.s.t.Helper()
	ref, err := object.NewSearchIndex(c.Client.Client).FindByInventoryPath(c.s.ctx(), "/DC0/vm/"+name)
	c.s.must(err)
	return ref.Reference()
}

func TestARequestReachesTheUpstreamAsItWasSentButForCredentialsAndIDs(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "")
	c := s.login(0)
	v, err := view.NewManager(c.Client.Client).CreateContainerView(s.ctx(), c.ServiceContent.RootFolder, nil, true)
	s.must(err)
	id := v.Reference().Value
	token := c.Jar.Cookies(mustURL(s.server.URL + "/sdk"))[0].Value
	odd := `<?xml version="1.0" encoding="UTF-8"?><e:Envelope  xmlns:e='http://schemas.xmlsoap.org/soap/envelope/'>` +
		`<e:Header><operationID xmlns="">op&#45;1</operationID><vcSessionCookie>` + token +
		`</vcSessionCookie></e:Header><e:Body><v:CreateListViewFromView xmlns:v="urn:vim25">` +
		`<v:_this type="ViewManager">ViewManager</v:_this><!-- odd --><v:view type="ContainerView" >` +
		id + `</v:view ></v:CreateListViewFromView></e:Body></e:Envelope>` + "\n"
	r, err := http.NewRequestWithContext(s.ctx(), http.MethodPost, s.server.URL+"/sdk", strings.NewReader(odd))
	s.must(err)
	r.Header.Set("Content-Type", "text/xml")
	r.Header.Set("SOAPAction", "urn:vim25/7.0")
	r.Header.Set("Authorization", "Bearer mine")
	r.Header.Set("X-Own", "kept")
	r.Header.Set("Accept-Encoding", "br")
	a, err := recording{s, http.DefaultTransport}.RoundTrip(r)
	s.must(err)
	s.must(a.Body.Close())
	got := d.last("CreateListViewFromView")
	if got == nil {
		t.Fatal("the upstream was not asked")
	}
	key := ""
	for _, k := range d.secrets() {
		if strings.Contains(got.body, "session["+k+"]") {
			key = k
		}
	}
	real := got.body[strings.Index(got.body, "session["):]
	real, _, _ = strings.Cut(real, "<")
	want := strings.NewReplacer(token, key, id, real).Replace(odd)
	if key == "" || got.body != want {
		t.Errorf("the upstream got\n%s\nwant\n%s", got.body, want)
	}
	if h, cookie := got.header, got.header.Get("Cookie"); h.Get("X-Own") != "kept" || h.Get("Authorization") != "" ||
		h.Get("SOAPAction") != "urn:vim25/7.0" || h.Get("Accept-Encoding") == "br" ||
		strings.Contains(cookie, token) || !strings.Contains(cookie, key) {
		t.Errorf("headers %v", h)
	}
}

func TestIDsOfOthersAreUnknownAndTheUpstreamIsNotAsked(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "")
	a, b := s.login(1), s.login(2)
	v, err := view.NewManager(a.Client.Client).CreateContainerView(s.ctx(), a.ServiceContent.RootFolder, nil, true)
	s.must(err)
	id := v.Reference().Value
	if !strings.HasPrefix(id, "session["+a.key+"]") {
		t.Fatalf("the view is %s", id)
	}
	_ = b.machine("DC0_H0_VM0") // so that there is an upstream session
	key := d.secrets()[0]
	before := d.total()
	uuid := id[strings.IndexByte(id, ']')+1:]
	for _, id := range []string{
		id, "session[" + key + "]" + uuid, "session[" + b.key + "]" + uuid, "session[" + b.key + "]x",
		"session[x]" + uuid,
		strings.Replace(id, "s", "&#115;", 1), "<![CDATA[" + id + "]]>", " " + id + "\n", strings.ToUpper(id),
		"ses<!-- -->sion[" + key + "]" + uuid,
	} {
		for _, call := range []string{
			`<DestroyView xmlns="urn:vim25"><_this type="ContainerView">` + id + `</_this></DestroyView>`,
			`<CreateListViewFromView xmlns="urn:vim25"><_this type="ViewManager">ViewManager</_this>` +
				`<view type="ContainerView">` + id + `</view></CreateListViewFromView>`,
		} {
			// The answer names what the client has sent, so it is not searched for keys.
			status, answer := b.postBy(http.DefaultTransport, envelope(call))
			if status != http.StatusInternalServerError || !strings.Contains(answer, "ManagedObjectNotFound") {
				t.Errorf("%s: %d %s", call, status, answer)
			}
		}
	}
	if n := d.total(); n != before {
		t.Errorf("the upstream was asked %d times", n-before)
	}
	s.must(v.Destroy(s.ctx()))
}

func TestClientsHaveTheirOwnFiltersOnTheDefaultCollector(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "")
	a, b := s.login(1), s.login(2)
	filter := func(c *client, name string) types.ManagedObjectReference {
		t.Helper()
		r, err := methods.CreateFilter(s.ctx(), c.Client, &types.CreateFilter{
			This: c.ServiceContent.PropertyCollector, Spec: types.PropertyFilterSpec{
				PropSet:   []types.PropertySpec{{Type: "VirtualMachine", PathSet: []string{"name"}}},
				ObjectSet: []types.ObjectSpec{{Obj: c.machine(name)}},
			},
		})
		s.must(err)
		return r.Returnval
	}
	fa, fb := filter(a, "DC0_H0_VM0"), filter(b, "DC0_H0_VM1")
	for _, x := range []struct {
		c      *client
		filter types.ManagedObjectReference
		name   string
	}{{a, fa, "DC0_H0_VM0"}, {b, fb, "DC0_H0_VM1"}} {
		r, err := methods.WaitForUpdatesEx(s.ctx(), x.c.Client, &types.WaitForUpdatesEx{
			This: x.c.ServiceContent.PropertyCollector,
		})
		s.must(err)
		set := r.Returnval.FilterSet
		if len(set) != 1 || set[0].Filter != x.filter || set[0].ObjectSet[0].ChangeSet[0].Val != x.name ||
			!strings.Contains(x.filter.Value, x.c.key) {
			t.Errorf("%s: %+v", x.name, set)
		}
		var pc mo.PropertyCollector
		s.must(property.DefaultCollector(x.c.Client.Client).RetrieveOne(s.ctx(), x.c.ServiceContent.PropertyCollector,
			[]string{"filter"}, &pc))
		if len(pc.Filter) != 1 || pc.Filter[0] != x.filter {
			t.Errorf("the filters are %v", pc.Filter)
		}
	}
	destroy := func() {
		t.Helper()
		_, err := methods.DestroyPropertyCollector(s.ctx(), a.Client, &types.DestroyPropertyCollector{
			This: a.ServiceContent.PropertyCollector,
		})
		s.must(err)
	}
	destroy()
	_, err := methods.DestroyPropertyFilter(s.ctx(), a.Client, &types.DestroyPropertyFilter{This: fa})
	if !isFault[types.ManagedObjectNotFound](err) {
		t.Errorf("a filter outlives its collector: %v", err)
	}
	destroy() // there is none any more
	_ = filter(a, "DC0_H0_VM0")
	before := d.count("DestroyPropertyCollector")
	s.must(a.Logout(s.ctx()))
	s.eventually("what a client owned is destroyed", func() bool {
		return d.count("DestroyPropertyCollector") == before+1 && s.owned() == 2
	})
	_, err = methods.DestroyPropertyFilter(s.ctx(), b.Client, &types.DestroyPropertyFilter{This: fb})
	s.must(err)
}

func TestRetrievalsInPagesBelongToTheirClients(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "")
	a, b := s.login(1), s.login(2)
	v, err := view.NewManager(a.Client.Client).CreateContainerView(s.ctx(), a.ServiceContent.RootFolder,
		[]string{"VirtualMachine"}, true)
	s.must(err)
	inView := []types.BaseSelectionSpec{&types.TraversalSpec{Type: "ContainerView", Path: "view"}}
	request := types.RetrievePropertiesEx{
		This: a.ServiceContent.PropertyCollector,
		SpecSet: []types.PropertyFilterSpec{{
			PropSet:   []types.PropertySpec{{Type: "VirtualMachine", PathSet: []string{"name"}}},
			ObjectSet: []types.ObjectSpec{{Obj: v.Reference(), Skip: types.NewBool(true), SelectSet: inView}},
		}},
		Options: types.RetrieveOptions{MaxObjects: 2},
	}
	first, err := methods.RetrievePropertiesEx(s.ctx(), a.Client, &request)
	s.must(err)
	token, names := first.Returnval.Token, []string{}
	add := func(objects []types.ObjectContent) {
		for _, o := range objects {
			names = append(names, o.PropSet[0].Val.(string))
		}
	}
	add(first.Returnval.Objects)
	for _, bad := range []string{token, "1", ""} {
		before := d.count("ContinueRetrievePropertiesEx")
		_, err := methods.ContinueRetrievePropertiesEx(s.ctx(), b.Client, &types.ContinueRetrievePropertiesEx{
			This: b.ServiceContent.PropertyCollector, Token: bad,
		})
		if err == nil || d.count("ContinueRetrievePropertiesEx") != before {
			t.Errorf("the token %q of another: %v", bad, err)
		}
	}
	for token != "" {
		next, err := methods.ContinueRetrievePropertiesEx(s.ctx(), a.Client, &types.ContinueRetrievePropertiesEx{
			This: a.ServiceContent.PropertyCollector, Token: token,
		})
		s.must(err)
		add(next.Returnval.Objects)
		token = next.Returnval.Token
	}
	slices.Sort(names)
	if !slices.Equal(names, allNames) {
		t.Errorf("the pages have %q", names)
	}
	s.must(v.Destroy(s.ctx()))
	if n := s.owned(); n != 0 {
		t.Errorf("%d objects are left", n)
	}
	for range 40 {
		_, err = methods.RetrievePropertiesEx(s.ctx(), b.Client, &types.RetrievePropertiesEx{
			This: b.ServiceContent.PropertyCollector, Options: types.RetrieveOptions{MaxObjects: 1},
			SpecSet: []types.PropertyFilterSpec{{
				PropSet:   []types.PropertySpec{{Type: "VirtualMachine", PathSet: []string{"name"}}},
				ObjectSet: []types.ObjectSpec{{Obj: b.machine("DC0_H0_VM0")}, {Obj: b.machine("DC0_H0_VM1")}},
			}},
		})
		s.must(err)
	}
	if n := s.owned(); n > 16 {
		t.Errorf("%d unfinished retrievals are kept", n)
	}
}
