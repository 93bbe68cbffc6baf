package gateway

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/lab"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/upstream/settings"
)

const (
	principals = 20
	sessions   = 200
	rounds     = 2 // how many calls each session makes, without the flag during
)

// crowd is many clients of one front.
type crowd struct {
	*stage
	names  map[types.ManagedObjectReference]string // of the virtual machines
	folder types.ManagedObjectReference            // of the virtual machines
	few    chan struct{}                           // full while there are half as many collectors as can be
	logins chan struct{}                           // full while there are as many logins as can be hashed in time

	mu      sync.Mutex // guards what follows
	owned   []ownedBy  // the latest
	refused int        // calls with what belongs to another
}

// ownedBy is an object that belongs to a session.
type ownedBy struct {
	owner  int
	object types.ManagedObjectReference
}

// member is one client of a crowd.
type member struct {
	*govmomi.Client
	*crowd
	number     int
	name       string // of its user
	user       string // as sessions show it
	key, token string
	call       int
}

// principalOf returns the user of a session.
func principalOf(session int) lab.User {
	return lab.User{
		Name:     fmt.Sprintf("user%d@vsphere.local", session%principals),
		Password: secret.New(fmt.Sprintf("a long password %d", session%principals)), Role: "Admin",
	}
}

// newCrowd makes a front with few upstream sessions and many users.
func newCrowd(t *testing.T) *crowd {
	t.Helper()
	var users []lab.User
	for n := range principals {
		users = append(users, principalOf(n))
	}
	c := &crowd{
		names: map[types.ManagedObjectReference]string{}, few: make(chan struct{}, 16), logins: make(chan struct{}, 8),
	}
	c.stage = newStageWith(t, lab.VCenter, lab.Options{Users: users}, func(s *settings.Config) {
		s.MaxSessions, s.WaitTimeout = 5, patience
	})
	finder := find.NewFinder(c.direct.Client)
	dc, err := finder.DefaultDatacenter(t.Context())
	must(t, err)
	folders, err := dc.Folders(t.Context())
	must(t, err)
	c.folder = folders.VmFolder.Reference()
	for _, vm := range machines(t, c.direct) {
		c.names[vm.Reference()] = vm.Name()
	}
	return c
}

// join logs one session in.
func (c *crowd) join(n int) (*member, error) {
	u := principalOf(n)
	client, err := c.connect(u.Name, u.Password.Reveal())
	if err != nil {
		return nil, err
	}
	at, err := url.Parse("https://" + c.at.Host + "/sdk")
	if err != nil {
		return nil, err
	}
	me, err := client.SessionManager.UserSession(c.t.Context())
	if err != nil || me == nil {
		return nil, fmt.Errorf("read the session: %+v, %w", me, err)
	}
	m := &member{Client: client, crowd: c, number: n, name: u.Name, user: me.UserName, key: me.Key}
	for _, cookie := range client.Jar.Cookies(at) {
		m.token = strings.Trim(cookie.Value, `"`)
	}
	return m, nil
}

// operation is the id of a call with what belongs to another.
func (m *member) operation() string { return fmt.Sprintf("stranger-%d-%d", m.number, m.call) }

// owns makes an object known to the other members, who try to use it.
func (m *member) owns(object types.ManagedObjectReference) error {
	if !strings.Contains(object.Value, m.key) {
		return fmt.Errorf("%s does not have the key of its owner, %s", object, m.key)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	const most = 50
	m.owned = append(m.owned, ownedBy{m.number, object})
	m.owned = m.owned[max(0, len(m.owned)-most):]
	return nil
}

// foreign returns an object of another member.
func (m *member) foreign() (types.ManagedObjectReference, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for range 10 {
		if len(m.owned) == 0 {
			break
		}
		if o := m.owned[rand.N(len(m.owned))]; o.owner != m.number {
			return o.object, true
		}
	}
	return types.ManagedObjectReference{}, false
}

// intrude makes calls with an object of another member.
func (m *member) intrude(ctx context.Context) error {
	object, ok := m.foreign()
	if !ok {
		return nil
	}
	ctx = context.WithValue(ctx, types.ID{}, m.operation())
	_, read := methods.RetrievePropertiesEx(ctx, m.Client, &types.RetrievePropertiesEx{
		This: m.ServiceContent.PropertyCollector,
		SpecSet: []types.PropertyFilterSpec{{
			PropSet:   []types.PropertySpec{{Type: object.Type, All: types.NewBool(true)}},
			ObjectSet: []types.ObjectSpec{{Obj: object}},
		}},
	})
	var used error
	switch object.Type {
	case "PropertyCollector":
		_, used = methods.WaitForUpdatesEx(ctx, m.Client, &types.WaitForUpdatesEx{This: object})
	case "PropertyFilter":
		_, used = methods.DestroyPropertyFilter(ctx, m.Client, &types.DestroyPropertyFilter{This: object})
	case "EventHistoryCollector", "TaskHistoryCollector":
		_, used = methods.DestroyCollector(ctx, m.Client, &types.DestroyCollector{This: object})
	default:
		_, used = methods.DestroyView(ctx, m.Client, &types.DestroyView{This: object})
	}
	for _, err := range []error{read, used} {
		if !isFault[types.ManagedObjectNotFound](err) {
			return fmt.Errorf("%s of another: %v", object, err)
		}
	}
	if err := m.intrudeREST(ctx, object); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refused += 2
	return nil
}

// get sends a GET request with the token of the session, and returns the answer.
func (m *member) get(ctx context.Context, path string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+m.at.Host+path, nil)
	if err != nil {
		return "", err
	}
	r.Header.Set("vmware-api-session-id", m.token)
	return m.do(r)
}

// TestNobodySeesWhatBelongsToAnother makes calls of all kinds, at random, with many sessions on few upstream ones.
func TestNobodySeesWhatBelongsToAnother(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	var members [sessions]*member
	var all sync.WaitGroup
	for n := range sessions {
		c.logins <- struct{}{}
		all.Go(func() {
			defer func() { <-c.logins }()
			var err error
			if members[n], err = c.join(n); err != nil {
				t.Errorf("session %d: %v", n, err)
			}
		})
	}
	if all.Wait(); t.Failed() {
		return
	}
	// The session of the Automation API takes its place first. Later, another session would have to end for it.
	must(t, members[0].try(kind{"the Automation API", (*member).readPolicies}))
	began := time.Now()
	for _, m := range members {
		all.Go(func() {
			for ; m.call < rounds || time.Since(began) < *during; m.call++ {
				// Each member begins with another kind of call, so that there are all of them.
				kind := kinds[(m.number+m.call*7)%len(kinds)]
				if m.call >= rounds {
					kind = kinds[rand.N(len(kinds))]
				}
				if err := m.try(kind); err != nil {
					t.Errorf("session %d, call %d, %s: %v", m.number, m.call, kind.name, err)
					return
				}
			}
		})
	}
	all.Wait()
	if c.refused < sessions/10 {
		t.Errorf("only %d calls were made with what belongs to others", c.refused)
	}
	c.double.mu.Lock()
	defer c.double.mu.Unlock()
	known := false
	for id := range c.double.operations {
		if strings.HasPrefix(id, "stranger-") {
			t.Errorf("the upstream was asked: %s", id)
		}
		known = known || strings.HasPrefix(id, "owner-")
	}
	if !known {
		t.Error("the upstream has not seen the ids of calls")
	}
	if n := c.double.logins; n > 5 {
		t.Errorf("%d upstream sessions were made", n)
	}
}

// try makes one call.
func (m *member) try(k kind) error {
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	ctx = context.WithValue(ctx, types.ID{}, fmt.Sprintf("owner-%d-%d", m.number, m.call))
	return k.do(m, ctx)
}

// do sends a request and returns the answer, which must be a success.
func (m *member) do(r *http.Request) (answer string, err error) {
	err = m.Client.Client.Do(r.Context(), r, func(a *http.Response) error {
		answer, err = text(a)
		if err == nil && a.StatusCode != http.StatusOK {
			err = errors.New(a.Status + " " + answer)
		}
		return err
	})
	return answer, err
}
