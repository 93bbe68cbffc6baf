package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"

	"github.com/vmware/govmomi/event"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// kind is a kind of call that a member of a crowd makes, and whose answer it checks.
type kind struct {
	name string
	do   func(*member, context.Context) error
}

// The simulator is not safe for collectors of tasks beside calls that make tasks, and for views beside calls that
// change the inventory. So neither is among them.
var kinds = []kind{
	{"a property", (*member).readProperty}, {"a traversal", (*member).list}, {"a search", (*member).search},
	{"pages", (*member).readPages}, {"Fetch", (*member).fetch}, {"VI JSON", (*member).readJSON},
	{"the session", (*member).readSession}, {"what belongs to another", (*member).intrude},
	{"a container view", (*member).useContainerView}, {"a list view", (*member).useListView},
	{"updates", (*member).useFilter}, {"updates of the default collector", (*member).useDefaultCollector},
	{"events", (*member).readEvents}, {"a file", (*member).useFile},
	{"a change", (*member).change}, {"what belongs to another, again", (*member).intrude},
	{"the Automation API", (*member).readPolicies}, {"tags", (*member).useTags}, {"JSON-RPC", (*member).useRPC},
	{"a session of the Automation API", (*member).useREST},
}

// machine returns one of the virtual machines, and its name.
func (m *member) machine() (types.ManagedObjectReference, string) {
	all := m.machineList()
	ref := all[rand.N(len(all))]
	return ref, m.names[ref]
}

// machineList returns all virtual machines, in an order of their own.
func (m *member) machineList() []types.ManagedObjectReference {
	return slices.SortedFunc(maps.Keys(m.names), func(a, b types.ManagedObjectReference) int {
		return strings.Compare(a.Value, b.Value)
	})
}

// differs returns an error if something is not as it should be.
func differs[T any](what string, got, want T) error {
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		return fmt.Errorf("%s: got %s, want %s", what, g, w)
	}
	return nil
}

func (m *member) readProperty(ctx context.Context) error {
	ref, name := m.machine()
	var vm mo.VirtualMachine
	err := property.DefaultCollector(m.Client.Client).RetrieveOne(ctx, ref, []string{"name", "runtime.powerState"}, &vm)
	return errors.Join(err, differs("the machine", vm.Name+" "+string(vm.Runtime.PowerState), name+" poweredOn"))
}

func (m *member) list(ctx context.Context) error {
	all, err := find.NewFinder(m.Client.Client).VirtualMachineList(ctx, "/DC0/vm/*")
	if err != nil {
		return err
	}
	return differs("machines", len(all), len(m.names))
}

func (m *member) search(ctx context.Context) error {
	ref, name := m.machine()
	found, err := object.NewSearchIndex(m.Client.Client).FindByInventoryPath(ctx, "/DC0/vm/"+name)
	if err != nil || found == nil {
		return fmt.Errorf("find %s: %v, %w", name, found, err)
	}
	return differs("the machine", found.Reference(), ref)
}

func (m *member) readPages(ctx context.Context) error {
	var objects []types.ObjectSpec
	var want, got []string
	for _, ref := range m.machineList() {
		objects = append(objects, types.ObjectSpec{Obj: ref})
		want = append(want, m.names[ref])
	}
	first, err := methods.RetrievePropertiesEx(ctx, m.Client, &types.RetrievePropertiesEx{
		This: m.ServiceContent.PropertyCollector, Options: types.RetrieveOptions{MaxObjects: 1},
		SpecSet: []types.PropertyFilterSpec{{
			PropSet: []types.PropertySpec{{Type: "VirtualMachine", PathSet: []string{"name"}}}, ObjectSet: objects,
		}},
	})
	if err != nil {
		return err
	}
	for page := first.Returnval; ; {
		for _, o := range page.Objects {
			got = append(got, fmt.Sprint(o.PropSet[0].Val))
		}
		if page.Token == "" {
			return differs("the names on all pages", got, want)
		}
		next, err := methods.ContinueRetrievePropertiesEx(ctx, m.Client, &types.ContinueRetrievePropertiesEx{
			This: m.ServiceContent.PropertyCollector, Token: page.Token,
		})
		if err != nil {
			return err
		}
		page = &next.Returnval
	}
}

// text returns the body of an answer.
func text(a *http.Response) (string, error) {
	b, err := io.ReadAll(a.Body)
	return string(b), err
}

func (m *member) fetch(ctx context.Context) error {
	ref, name := m.machine()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+m.at.Host+"/sdk", strings.NewReader(
		`<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body><Fetch xmlns="urn:vim25">`+
			`<_this type="VirtualMachine">`+ref.Value+`</_this><prop>name</prop></Fetch></Body></Envelope>`))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "text/xml; charset=utf-8")
	answer, err := m.do(r)
	if err == nil && !strings.Contains(answer, ">"+name+"<") {
		err = fmt.Errorf("%s is not in %s", name, answer)
	}
	return err
}

func (m *member) readJSON(ctx context.Context) error {
	ref, name := m.machine()
	answer, err := m.get(ctx, "/sdk/vim25/8.0.1.0/VirtualMachine/"+ref.Value+"/name")
	return errors.Join(err, differs("the name", answer, `"`+name+`"`))
}

func (m *member) readSession(ctx context.Context) error {
	me, err := m.SessionManager.UserSession(ctx)
	if err != nil || me == nil {
		return fmt.Errorf("the session is %+v, %w", me, err)
	}
	answer, err := m.get(ctx, "/api/session")
	if err != nil {
		return err
	}
	var info struct{ User string }
	err = json.Unmarshal([]byte(answer), &info)
	return errors.Join(err, differs("the session", me.Key+" "+me.UserName, m.key+" "+m.user),
		differs("the user", strings.ToLower(info.User), strings.ToLower(m.name)))
}

func (m *member) useContainerView(ctx context.Context) error {
	v, err := view.NewManager(m.Client.Client).CreateContainerView(ctx, m.folder, []string{"VirtualMachine"}, true)
	if err != nil {
		return err
	}
	if err := m.owns(v.Reference()); err != nil {
		return err
	}
	var read []mo.VirtualMachine
	if err := v.Retrieve(ctx, []string{"VirtualMachine"}, []string{"name"}, &read); err != nil {
		return err
	}
	got := map[types.ManagedObjectReference]string{}
	for _, vm := range read {
		got[vm.Self] = vm.Name
	}
	return errors.Join(differs("the view", got, m.names), v.Destroy(ctx))
}

func (m *member) useListView(ctx context.Context) error {
	all := m.machineList()
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	mine := all[:1+rand.N(len(all))]
	v, err := view.NewManager(m.Client.Client).CreateListView(ctx, mine)
	if err != nil {
		return err
	}
	if err := m.owns(v.Reference()); err != nil {
		return err
	}
	var got mo.ListView
	err = property.DefaultCollector(m.Client.Client).RetrieveOne(ctx, v.Reference(), []string{"view"}, &got)
	return errors.Join(err, differs("the list", got.View, mine), v.Destroy(ctx))
}

// watch makes a filter on a collector, and checks that its updates are the first of all.
func (m *member) watch(ctx context.Context, pc types.ManagedObjectReference) error {
	ref, name := m.machine()
	made, err := methods.CreateFilter(ctx, m.Client, &types.CreateFilter{This: pc, Spec: types.PropertyFilterSpec{
		PropSet:   []types.PropertySpec{{Type: "VirtualMachine", PathSet: []string{"name"}}},
		ObjectSet: []types.ObjectSpec{{Obj: ref}},
	}})
	if err != nil {
		return err
	}
	if err := m.owns(made.Returnval); err != nil {
		return err
	}
	r, err := methods.WaitForUpdatesEx(ctx, m.Client, &types.WaitForUpdatesEx{This: pc})
	if err != nil {
		return err
	}
	var got []string
	for _, set := range r.Returnval.FilterSet {
		for _, o := range set.ObjectSet {
			got = append(got, set.Filter.Value, o.Obj.Value, fmt.Sprint(o.ChangeSet[0].Val))
		}
	}
	return differs("the updates", got, []string{made.Returnval.Value, ref.Value, name})
}

func (m *member) useFilter(ctx context.Context) error {
	pc, err := property.DefaultCollector(m.Client.Client).Create(ctx)
	if err != nil {
		return err
	}
	if err := m.owns(pc.Reference()); err != nil {
		return err
	}
	return errors.Join(m.watch(ctx, pc.Reference()), pc.Destroy(ctx))
}

func (m *member) useDefaultCollector(ctx context.Context) error {
	err := m.watch(ctx, m.ServiceContent.PropertyCollector)
	_, end := methods.DestroyPropertyCollector(ctx, m.Client, &types.DestroyPropertyCollector{
		This: m.ServiceContent.PropertyCollector,
	})
	return errors.Join(err, end)
}

func (m *member) readEvents(ctx context.Context) error {
	m.few <- struct{}{}
	defer func() { <-m.few }()
	h, err := event.NewManager(m.Client.Client).CreateCollectorForEvents(ctx, types.EventFilterSpec{})
	if err != nil {
		return err
	}
	if err := m.owns(h.Reference()); err != nil {
		return err
	}
	size := 1 + rand.N(5)
	if err := h.SetPageSize(ctx, int32(size)); err != nil {
		return err
	}
	page, err := h.LatestPage(ctx)
	return errors.Join(err, differs("events", len(page), size), h.Destroy(ctx))
}

// useFile stores a file of the member's own, and reads it again.
func (m *member) useFile(ctx context.Context) error {
	finder := find.NewFinder(m.Client.Client)
	dc, err := finder.DefaultDatacenter(ctx)
	if err != nil {
		return err
	}
	store, err := finder.SetDatacenter(dc).DefaultDatastore(ctx)
	if err != nil {
		return err
	}
	file, content := fmt.Sprintf("member-%d", m.number), fmt.Appendf(nil, "of %s, call %d", m.name, m.call)
	if err := store.Upload(ctx, bytes.NewReader(content), file, nil); err != nil {
		return err
	}
	r, _, err := store.Download(ctx, file, nil)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(r)
	return errors.Join(err, r.Close(), differs("the file", string(got), string(content)))
}

// change sets an option of the member's own.
func (m *member) change(ctx context.Context) error {
	key, value := fmt.Sprintf("member.%03d", m.number), fmt.Sprint("call ", m.call)
	options := object.NewOptionManager(m.Client.Client, *m.ServiceContent.Setting)
	if err := options.Update(ctx, []types.BaseOptionValue{&types.OptionValue{Key: key, Value: value}}); err != nil {
		return err
	}
	got, err := options.Query(ctx, key)
	if err != nil || len(got) != 1 {
		return fmt.Errorf("%d options %s, %w", len(got), key, err)
	}
	return differs[any]("the option", got[0].GetOptionValue().Value, value)
}
