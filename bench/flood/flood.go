//go:build linux

// Package flood sends four floods to a server at the same time, each from a different address:
// logins with invented names, large bodies, traversals and waits. Meanwhile, a user at another
// address logs in, reads and logs out. The [Report] says how long that took.
package flood

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Config configures a run.
type Config struct {
	Base           string // the URL of the plain listener
	User, Password string // credentials of an administrator
	Duration       time.Duration
	// Least is the minimum number of logins of the user. The floods continue until it is reached,
	// for at most Patience longer.
	Least    int
	Patience time.Duration
}

// Report counts the responses to the floods, and has the times of the user's calls.
type Report struct {
	Logins, Reads []time.Duration // sorted
	Refused       int             // of the user's requests
	Floods        map[string]*Count
}

// Count counts the responses to one flood by status and fault.
type Count struct {
	mu      sync.Mutex // guards answers
	answers map[string]int
}

// add counts a response. Status 0 means that there was no response.
func (c *Count) add(status int, body []byte) {
	var fault struct {
		Type string `json:"_typeName"`
	}
	key := fmt.Sprint(status)
	if status >= 400 && json.Unmarshal(body, &fault) == nil {
		key += " " + fault.Type
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers[key]++
}

func (c *Count) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var parts []string
	for answer, n := range c.answers {
		parts = append(parts, fmt.Sprintf("%d × %s", n, answer))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// client is an HTTP client with its own source address.
type client struct {
	http  *http.Client
	base  string
	token string
}

func newClient(base, address string, timeout time.Duration) *client {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: timeout}
	return &client{base: base, http: &http.Client{
		Timeout:   timeout,
		Transport: &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: 1000},
	}}
}

const api = "/sdk/vim25/8.0.1.0/"

// call calls a method if body is not nil, and otherwise reads a property. Status 0 means that there
// was no response.
func (c *client) call(ctx context.Context, path string, body any) (int, []byte, http.Header) {
	method, reader := http.MethodGet, io.Reader(nil)
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return 0, nil, nil
		}
		method, reader = http.MethodPost, bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+api+path, reader)
	if err != nil {
		return 0, nil, nil
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("vmware-api-session-id", c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, nil
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil, nil
	}
	return resp.StatusCode, b, resp.Header
}

type object map[string]any

func ref(typ, id string) object {
	return object{"_typeName": "ManagedObjectReference", "type": typ, "value": id}
}

func (c *client) login(ctx context.Context, user, password string) (int, []byte) {
	status, b, h := c.call(ctx, "SessionManager/SessionManager/Login", object{"userName": user, "password": password})
	if status == http.StatusOK {
		c.token = h.Get("vmware-api-session-id")
	}
	return status, b
}

// Run floods the server and returns a report.
func Run(ctx context.Context, c Config) (*Report, error) {
	const hostile, hostilePassword = "hostile", "a password of a hostile user"
	admin := newClient(c.Base, "127.0.0.1", time.Minute)
	if status, _ := admin.login(ctx, c.User, c.Password); status != http.StatusOK {
		return nil, fmt.Errorf("log in as administrator: status %d", status)
	}
	for _, name := range []string{hostile, "victim"} {
		if err := admin.reader(ctx, name, hostilePassword); err != nil {
			return nil, err
		}
	}
	owner := newClient(c.Base, "127.0.0.4", time.Minute)
	if status, _ := owner.login(ctx, hostile, hostilePassword); status != http.StatusOK {
		return nil, fmt.Errorf("log in as the hostile user: status %d", status)
	}
	traversal, err := owner.traversal(ctx)
	if err != nil {
		return nil, err
	}
	rep := &Report{Floods: map[string]*Count{}}
	floodCtx, stop := context.WithTimeout(ctx, c.Duration+c.Patience)
	defer stop()
	var wg sync.WaitGroup
	for _, f := range floods(c.Base, owner.token, traversal) {
		count := &Count{answers: map[string]int{}}
		rep.Floods[f.name] = count
		for i := range f.workers {
			wg.Go(func() {
				for n := 0; floodCtx.Err() == nil; n++ {
					if status, body := f.send(floodCtx, i, n); floodCtx.Err() == nil {
						count.add(status, body)
					}
				}
			})
		}
	}
	rep.watch(floodCtx, c, "victim", hostilePassword)
	stop()
	wg.Wait()
	slices.Sort(rep.Logins)
	slices.Sort(rep.Reads)
	if len(rep.Logins) < c.Least {
		return rep, fmt.Errorf("only %d of %d logins were made in time", len(rep.Logins), c.Least)
	}
	return rep, nil
}

// reader creates a user with the role ReadOnly.
func (c *client) reader(ctx context.Context, name, password string) error {
	create, _, _ := c.call(ctx, "HostLocalAccountManager/ha-localacctmgr/CreateUser", object{
		"user": object{"_typeName": "HostAccountSpec", "id": name, "password": password},
	})
	grant, _, _ := c.call(ctx, "AuthorizationManager/AuthorizationManager/SetEntityPermissions", object{
		"entity": ref("Folder", "group-d1"), "permission": []object{{
			"_typeName": "Permission", "principal": name, "group": false, "roleId": -2, "propagate": true,
		}},
	})
	if create != http.StatusNoContent || grant != http.StatusNoContent {
		return fmt.Errorf("create user %s: status %d and %d", name, create, grant)
	}
	return nil
}

// traversal creates views, each of which contains all of them. It returns a retrieval that goes
// from each view to each view in each step: 135,000 visits. Its depth is below the server's limit
// (views × steps < 1000).
func (c *client) traversal(ctx context.Context) (object, error) {
	const views, steps = 150, 6
	var refs []object
	for range views {
		status, b, _ := c.call(ctx, "ViewManager/ViewManager/CreateListView", object{})
		var made struct{ Type, Value string }
		if err := json.Unmarshal(b, &made); status != http.StatusOK || err != nil {
			return nil, errors.Join(fmt.Errorf("create a view: status %d", status), err)
		}
		refs = append(refs, ref(made.Type, made.Value))
	}
	for _, r := range refs {
		if status, _, _ := c.call(ctx, fmt.Sprintf("ListView/%s/ResetListView", r["value"]),
			object{"obj": refs}); status >= 300 {
			return nil, fmt.Errorf("fill a view: status %d", status)
		}
	}
	var selection []object
	for i := range steps {
		selection = append(selection, object{
			"_typeName": "TraversalSpec", "name": fmt.Sprint("s", i), "type": "ListView", "path": "view",
			"selectSet": []object{{"_typeName": "SelectionSpec", "name": fmt.Sprint("s", (i+1)%steps)}},
		})
	}
	return object{"options": object{"_typeName": "RetrieveOptions"}, "specSet": []object{{
		"_typeName": "PropertyFilterSpec",
		"propSet":   []object{{"_typeName": "PropertySpec", "type": "ListView", "pathSet": []string{}}},
		"objectSet": []object{{"_typeName": "ObjectSpec", "obj": refs[0], "selectSet": selection}},
	}}}, nil
}

// one is one of the floods.
type one struct {
	name    string
	workers int
	send    func(ctx context.Context, worker, n int) (int, []byte)
}

func floods(base, token string, traversal object) []one {
	guesser := newClient(base, "127.0.0.2", time.Minute)
	sender := newClient(base, "127.0.0.3", time.Minute)
	owner := newClient(base, "127.0.0.4", time.Minute)
	waiter := newClient(base, "127.0.0.5", time.Minute)
	owner.token, waiter.token = token, token
	large := strings.Repeat(" ", 900<<10)
	return []one{
		{"logins by made-up names", 50, func(ctx context.Context, worker, n int) (int, []byte) {
			c := *guesser
			return c.login(ctx, fmt.Sprintf("nobody-%d-%d", worker, n), "a wrong password")
		}},
		{"large bodies", 16, func(ctx context.Context, _, _ int) (int, []byte) {
			c := *sender
			return c.login(ctx, "nobody", large)
		}},
		{"traversals", 8, func(ctx context.Context, _, _ int) (int, []byte) {
			status, b, _ := owner.call(ctx, "PropertyCollector/propertyCollector/RetrievePropertiesEx", traversal)
			return status, b
		}},
		{"waits", 200, func(ctx context.Context, _, _ int) (int, []byte) {
			status, b, _ := waiter.call(ctx, "PropertyCollector/propertyCollector/WaitForUpdatesEx", object{
				"version": "", "options": object{"_typeName": "WaitOptions", "maxWaitSeconds": 5},
			})
			return status, b
		}},
	}
}

// watch lets the user log in, read and log out repeatedly until the time is over.
func (r *Report) watch(ctx context.Context, c Config, user, password string) {
	began := time.Now()
	for ctx.Err() == nil && (time.Since(began) < c.Duration || len(r.Logins) < c.Least || !r.answered()) {
		v := newClient(c.Base, "127.0.0.1", time.Minute)
		at := time.Now()
		if status, _ := v.login(ctx, user, password); status != http.StatusOK {
			r.Refused++
			continue
		}
		r.Logins = append(r.Logins, time.Since(at))
		at = time.Now()
		if status, _, _ := v.call(ctx, "SessionManager/SessionManager/currentSession", nil); status != http.StatusOK {
			r.Refused++
		} else {
			r.Reads = append(r.Reads, time.Since(at))
		}
		if status, _, _ := v.call(ctx, "SessionManager/SessionManager/Logout", object{}); status >= 300 {
			r.Refused++
		}
		v.http.CloseIdleConnections()
	}
}

// answered reports whether each flood had a response.
func (r *Report) answered() bool {
	for _, c := range r.Floods {
		if c.String() == "" {
			return false
		}
	}
	return true
}

// Quantile returns the time that the share q of the sorted times does not exceed.
func Quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// Print writes the figures.
func (r *Report) Print(out io.Writer) {
	for _, line := range []struct {
		what  string
		times []time.Duration
	}{{"logins", r.Logins}, {"reads", r.Reads}} {
		fmt.Fprintf(out, "the user's %-7s %5d, median %v, p99 %v, longest %v\n", line.what, len(line.times),
			Quantile(line.times, 0.5).Round(time.Millisecond), Quantile(line.times, 0.99).Round(time.Millisecond),
			Quantile(line.times, 1).Round(time.Millisecond))
	}
	fmt.Fprintf(out, "refused of the user's requests: %d\n", r.Refused)
	for _, name := range []string{"logins by made-up names", "large bodies", "traversals", "waits"} {
		fmt.Fprintf(out, "%-24s %v\n", name+":", r.Floods[name])
	}
}
