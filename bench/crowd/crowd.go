//go:build linux

// Package crowd is many clients of a front at the same time. Each has a session of its own, makes calls at
// random, and knows what the answer to each of them must be. So it finds out whether a client ever gets the
// answer to another's call, or less than the whole answer.
//
// [Learn] reads from the server behind the front what it contains. [Gather] starts the sessions. [Crowd.Each]
// lets each of them make some calls, and [Crowd.Load] keeps calls in flight for a time. A [Tally] has what went
// wrong.
package crowd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/bench/load"
	"github.com/vigate/vigate/bench/wire"
)

// Machine is a virtual machine of the inventory.
type Machine struct{ Name, ID string }

// Inventory is what the server behind the front contains.
type Inventory struct {
	Machines []Machine
	Folder   string // id of the folder that has all of them
	Path     string // its path in the inventory
}

// Learn reads the inventory of a server, without the front. at is the address of the server.
func Learn(ctx context.Context, at, user, password string) (inv Inventory, err error) {
	c, err := govmomi.NewClient(ctx, &url.URL{
		Scheme: "http", Host: at, Path: "/sdk", User: url.UserPassword(user, password),
	}, true)
	if err != nil {
		return inv, fmt.Errorf("learn inventory: %w", err)
	}
	defer func() { err = errors.Join(err, c.Logout(ctx)) }()
	finder := find.NewFinder(c.Client)
	folder, err := finder.Folder(ctx, "/DC0/vm")
	if err != nil {
		return inv, fmt.Errorf("learn inventory: %w", err)
	}
	list, err := finder.VirtualMachineList(ctx, "/DC0/vm/*")
	if err != nil {
		return inv, fmt.Errorf("learn inventory: %w", err)
	}
	var refs []types.ManagedObjectReference
	for _, m := range list {
		refs = append(refs, m.Reference())
	}
	var all []mo.VirtualMachine
	if err := property.DefaultCollector(c.Client).Retrieve(ctx, refs, []string{"name"}, &all); err != nil {
		return inv, fmt.Errorf("learn inventory: %w", err)
	}
	inv.Folder, inv.Path = folder.Reference().Value, folder.InventoryPath
	for _, m := range all {
		inv.Machines = append(inv.Machines, Machine{m.Name, m.Self.Value})
	}
	return inv, nil
}

// Config configures a crowd.
type Config struct {
	Front          load.Target
	User, Password string // of the front
	Inventory      Inventory
	Conns          int // how many connections the clients share
	Seed           uint64
}

// Member is a client with its session.
type Member struct {
	token, key        string
	collector, filter string // its own, or empty
	machine           Machine
}

// Crowd is many clients. Its methods must not run side by side.
type Crowd struct {
	Config
	members []*Member
}

// Gather starts n sessions: one by a login, and the others as clones of it.
func Gather(ctx context.Context, cfg Config, n int) (*Crowd, error) {
	c := &Crowd{Config: cfg}
	first, err := c.logIn(ctx)
	if err != nil {
		return nil, fmt.Errorf("start sessions: %w", err)
	}
	c.members = append(c.members, first)
	if err := c.Grow(ctx, n-1); err != nil {
		return nil, err
	}
	return c, nil
}

// Grow starts n more sessions.
func (c *Crowd) Grow(ctx context.Context, n int) error {
	added := make([]*Member, n)
	err := c.parallel(ctx, n, func(conn *load.Conn, i int) (err error) {
		added[i], err = c.clone(conn)
		return err
	})
	if err != nil {
		return fmt.Errorf("start sessions: %w", err)
	}
	c.members = append(c.members, added...)
	for i, m := range c.members {
		m.machine = c.Inventory.Machines[i%len(c.Inventory.Machines)]
	}
	return nil
}

// Size returns the number of sessions.
func (c *Crowd) Size() int { return len(c.members) }

// dial opens a connection that keeps the bodies of answers.
func (c *Crowd) dial(ctx context.Context) (*load.Conn, error) {
	conn, err := load.Dial(ctx, c.Front)
	if err != nil {
		return nil, err
	}
	conn.Keep = true
	return conn, conn.Deadline(time.Now().Add(patience))
}

// patience is how long a connection is used at most. It is longer than any measurement.
const patience = 10 * time.Minute

// parallel calls do for 0 to n-1, on all connections. The first error ends it.
func (c *Crowd) parallel(ctx context.Context, n int, do func(conn *load.Conn, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(c.Conns, n) {
		conn, err := c.dial(ctx)
		if err != nil {
			cancel(err)
			break
		}
		all.Go(func() {
			defer conn.Close()
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(conn, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

func (c *Crowd) logIn(ctx context.Context) (*Member, error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	arguments, err := json.Marshal(map[string]string{"userName": c.User, "password": c.Password})
	if err != nil {
		return nil, err
	}
	return started(conn, wire.Post(wire.SessionManager+"Login", "", string(arguments)))
}

// clone starts a session as a clone of the first one.
func (c *Crowd) clone(conn *load.Conn) (*Member, error) {
	a, err := conn.Do(wire.Post(wire.SessionManager+"AcquireCloneTicket", c.members[0].token, ""))
	if err != nil {
		return nil, err
	}
	ticket, err := wire.JSONTicket(a.Body)
	if err != nil {
		return nil, fmt.Errorf("status %d: %w", a.Status, err)
	}
	return started(conn, wire.Post(wire.SessionManager+"CloneSession", "", fmt.Sprintf(`{"cloneTicket":%q}`, ticket)))
}

// started sends a request that starts a session.
func started(conn *load.Conn, request []byte) (*Member, error) {
	a, err := conn.Do(request)
	if err != nil {
		return nil, err
	}
	var s struct {
		Key string `json:"key"`
	}
	if a.Status != http.StatusOK {
		return nil, fmt.Errorf("status %d: %.300s", a.Status, a.Body)
	}
	if err := json.Unmarshal(a.Body, &s); err != nil || s.Key == "" || len(a.Token) == 0 {
		return nil, fmt.Errorf("no session in the answer: %.300s", a.Body)
	}
	return &Member{token: string(a.Token), key: s.Key}, nil
}
