package vigatetest

import "github.com/vigate/vigate/internal/lab"

// Inventory says what a simulated vCenter or ESXi host has. [VCenter] and [ESXi] return inventories whose fields
// a test can change.
type Inventory struct {
	kind lab.Kind

	Datacenters     int
	Clusters        int // in each datacenter
	Hosts           int // in each cluster
	StandaloneHosts int // in no cluster, in each datacenter
	VirtualMachines int // in each cluster, and on each standalone host
	Datastores      int // in each datacenter
	PoweredOff      bool
}

// VCenter returns the inventory of a vCenter with one datacenter, one cluster of three hosts, one host beside
// it, four virtual machines and one datastore.
func VCenter() Inventory {
	return Inventory{
		kind: lab.VCenter, Datacenters: 1, Clusters: 1, Hosts: 3, StandaloneHosts: 1, VirtualMachines: 2, Datastores: 1,
	}
}

// ESXi returns the inventory of an ESXi host with two virtual machines and one datastore. Of the other fields,
// none has a meaning.
func ESXi() Inventory {
	return Inventory{kind: lab.ESXi, VirtualMachines: 2, Datastores: 1}
}

// WithInventory puts the server in front of govmomi's simulator with an inventory, that of VCenter if none is
// given. [Server.URL] is then a vCenter or an ESXi host with everything that the simulator has, whose sessions
// are vigate's.
//
// Users with RoleAdmin may do everything, and all others may read. That is decided when the server starts.
//
// The clock of a server with an inventory does not stand still, because that of the simulator does not.
func WithInventory(inventory ...Inventory) Option {
	i := VCenter()
	if len(inventory) > 0 {
		i = inventory[0]
	}
	return func(o *options) { o.inventory = &i }
}

// model returns the inventory as package lab describes it.
func (i Inventory) model() (lab.Model, error) {
	if i.kind == "" {
		i.kind = lab.VCenter
	}
	m, err := lab.NewModel(i.kind)
	if err != nil {
		return m, err
	}
	m.PowerOn = !i.PoweredOff
	m.Counts["vms"], m.Counts["datastores"] = i.VirtualMachines, i.Datastores
	if i.kind == lab.VCenter {
		m.Counts["datacenters"], m.Counts["clusters"] = i.Datacenters, i.Clusters
		m.Counts["hosts"], m.Counts["standalone-hosts"] = i.Hosts, i.StandaloneHosts
	}
	return m, nil
}
