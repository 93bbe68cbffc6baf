package lab

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"

	// These add the services besides /sdk.
	_ "github.com/vmware/govmomi/cns/simulator"
	_ "github.com/vmware/govmomi/eam/simulator"
	_ "github.com/vmware/govmomi/lookup/simulator"
	_ "github.com/vmware/govmomi/pbm/simulator"
	_ "github.com/vmware/govmomi/ssoadmin/simulator"
	_ "github.com/vmware/govmomi/sts/simulator"
	_ "github.com/vmware/govmomi/vapi/appliance/simulator"
	_ "github.com/vmware/govmomi/vapi/cis/tasks/simulator"
	_ "github.com/vmware/govmomi/vapi/cluster/simulator"
	_ "github.com/vmware/govmomi/vapi/crypto/simulator"
	_ "github.com/vmware/govmomi/vapi/esx/settings/simulator"
	_ "github.com/vmware/govmomi/vapi/namespace/simulator"
	_ "github.com/vmware/govmomi/vapi/simulator"
	_ "github.com/vmware/govmomi/vapi/vcenter/consumptiondomains/simulator"
	_ "github.com/vmware/govmomi/vapi/vm/simulator"
	_ "github.com/vmware/govmomi/vsan/simulator"
	_ "github.com/vmware/govmomi/vslm/simulator"

	"github.com/vigate/vigate/internal/secret"
)

// Kind is a kind of server that an inventory belongs to.
type Kind string

// The kinds.
const (
	VCenter Kind = "vcenter"
	ESXi    Kind = "esxi"
)

// Model says what an inventory consists of.
type Model struct {
	Kind Kind
	// PowerOn is whether the virtual machines run.
	PowerOn bool
	// Counts are the numbers of objects, by the names in Parts.
	Counts map[string]int
}

// Part is a kind of object of an inventory.
type Part struct {
	Name string // as a word of the command line: "clusters"
	Help string
	// OnESXi is whether an ESXi host has such objects.
	OnESXi bool

	at func(*simulator.Model) *int
}

// Parts returns the kinds of objects whose number can be chosen.
func Parts() []Part {
	type model = simulator.Model
	return []Part{
		{"datacenters", "datacenters", false, func(m *model) *int { return &m.Datacenter }},
		{"clusters", "clusters in each datacenter", false, func(m *model) *int { return &m.Cluster }},
		{"hosts", "hosts in each cluster", false, func(m *model) *int { return &m.ClusterHost }},
		{"standalone-hosts", "hosts in no cluster, in each datacenter", false,
			func(m *model) *int { return &m.Host }},
		{"resource-pools", "resource pools in each cluster", false, func(m *model) *int { return &m.Pool }},
		{"vms", "virtual machines in each resource pool", true, func(m *model) *int { return &m.Machine }},
		{"apps", "vApps in each cluster", false, func(m *model) *int { return &m.App }},
		{"datastores", "datastores in each datacenter", true, func(m *model) *int { return &m.Datastore }},
		{"pods", "datastore clusters in each datacenter", false, func(m *model) *int { return &m.Pod }},
		{"portgroups", "distributed port groups in each datacenter", false,
			func(m *model) *int { return &m.Portgroup }},
		{"portgroups-nsx", "port groups of NSX in each datacenter", false,
			func(m *model) *int { return &m.PortgroupNSX }},
		{"opaque-networks", "opaque networks in each datacenter", false,
			func(m *model) *int { return &m.OpaqueNetwork }},
		{"folders", "datacenters that are in a folder, with folders for their content", false,
			func(m *model) *int { return &m.Folder }},
	}
}

// NewModel returns the default model of a kind.
func NewModel(kind Kind) (Model, error) {
	s, err := simulated(kind)
	if err != nil {
		return Model{}, err
	}
	m := Model{Kind: kind, PowerOn: s.Autostart, Counts: map[string]int{}}
	for _, p := range Parts() {
		if kind == VCenter || p.OnESXi {
			m.Counts[p.Name] = *p.at(s)
		}
	}
	return m, nil
}

// simulated returns the simulator's default model of a kind.
func simulated(kind Kind) (*simulator.Model, error) {
	switch kind {
	case VCenter:
		return simulator.VPX(), nil
	case ESXi:
		return simulator.ESX(), nil
	}
	return nil, fmt.Errorf("%q is not %s or %s", kind, VCenter, ESXi)
}

// maxCount bounds the number of objects of one kind in one parent.
const maxCount = 10_000

// simulated returns the model of the simulator.
func (m Model) simulated() (*simulator.Model, error) {
	s, err := simulated(m.Kind)
	if err != nil {
		return nil, err
	}
	var errs []error
	parts := Parts()
	for name, n := range m.Counts {
		i := slices.IndexFunc(parts, func(p Part) bool { return p.Name == name })
		switch {
		case i < 0:
			errs = append(errs, fmt.Errorf("an inventory has no %s", name))
		case m.Kind == ESXi && !parts[i].OnESXi:
			errs = append(errs, fmt.Errorf("an ESXi host has no %s", name))
		case n < 0 || n > maxCount:
			errs = append(errs, fmt.Errorf("%d %s are not from 0 to %d", n, name, maxCount))
		default:
			*parts[i].at(s) = n
		}
	}
	s.Autostart = m.PowerOn
	return s, errors.Join(errs...)
}

// Inventory is a running simulator with an inventory. It can be reached without vigate by those who know its
// password, which is random.
type Inventory struct {
	URL        *url.URL // without credentials
	User       string
	Password   secret.Text
	Thumbprint string // SHA-256 of its certificate, in hex

	model  *simulator.Model
	server *simulator.Server
	close  sync.Once
}

// OpenInventory makes the objects of the model and starts a simulator with them.
func OpenInventory(m Model) (*Inventory, error) {
	model, err := m.simulated()
	if err != nil {
		return nil, fmt.Errorf("make inventory: %w", err)
	}
	// The simulator says that it is a vCenter 6.5, which has no such manager. Clients of that time can't read it.
	model.ServiceContent.TenantManager = nil
	if err := model.Create(); err != nil {
		return nil, fmt.Errorf("make inventory: %w", err)
	}
	i := &Inventory{User: "vigate", Password: secret.New(rand.Text()), model: model}
	model.Service.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	model.Service.RegisterEndpoints = true
	model.Service.Listen = &url.URL{Host: "127.0.0.1:0", User: url.UserPassword(i.User, i.Password.Reveal())}
	i.server = model.Service.NewServer()
	at := *i.server.URL
	at.User = nil
	i.URL = &at
	sum := sha256.Sum256(i.server.Certificate().Raw)
	i.Thumbprint = strings.ToUpper(fmt.Sprintf("%x", sum))
	return i, nil
}

// String describes the inventory in a few words.
func (i *Inventory) String() string {
	n := i.model.Count()
	what := "a simulated vCenter"
	if !i.model.Map().IsVPX() {
		what = "a simulated ESXi host"
	}
	return fmt.Sprintf("%s with %d hosts, %d virtual machines and %d datastores", what, n.Host, n.Machine,
		n.Datastore)
}

// closeTime is how long Close waits for the calls in flight.
const closeTime = time.Second

// Close ends the simulator and removes its files.
//
// In the simulator, a wait for updates whose session has ended goes on for ever, even if its connection is closed. So
// Close does not wait for such calls.
func (i *Inventory) Close() {
	i.close.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTime)
		defer cancel()
		if i.server.Config.Shutdown(ctx) != nil {
			_ = i.server.Config.Close() // nobody uses the connections any more
		}
		i.model.Remove()
	})
}
