package cluster

import (
	"context"
	"math"
	"time"

	"github.com/vigate/vigate/internal/vim"
)

// ObjectType and ObjectID name the managed object that shows the nodes to clients. It is an addition to the API.
// ServiceContent does not name it, as its members are the API's. Other servers do not have it.
const (
	ObjectType = "VigateCluster"
	ObjectID   = "cluster"
)

// VigateNode is a node as clients see it. The name of the type is part of the protocol.
type VigateNode struct {
	Key  string `xml:"key" json:"key"`
	Name string `xml:"name" json:"name"`
	// Self is true for the node that answers the call.
	Self         bool      `xml:"self" json:"self"`
	Address      []string  `xml:"address,omitempty" json:"address,omitempty"`
	Version      string    `xml:"version" json:"version"`
	StartTime    time.Time `xml:"startTime" json:"startTime"`
	ReportTime   time.Time `xml:"reportTime" json:"reportTime"`
	SessionCount int32     `xml:"sessionCount" json:"sessionCount"`
	// LagMillis is unset while the node does not know every change in the store.
	LagMillis *int64 `xml:"lagMillis,omitempty" json:"lagMillis,omitempty"`
}

// Serve adds the object to the API. Call it before the first request.
func (c *Cluster) Serve(api *vim.API) error {
	return api.Add(&vim.Object{
		Type: ObjectType, ID: ObjectID,
		Properties: []vim.Property{
			vim.NewProperty("nodes", vim.Read, c.read,
				vim.Watched(func(*vim.Call) <-chan struct{} { return c.Changed() })),
		},
	})
}

func (c *Cluster) read(context.Context, *vim.Call) ([]VigateNode, error) {
	var all []VigateNode
	for _, n := range c.Nodes() {
		shown := VigateNode{
			Key: n.Key, Name: n.Name, Self: n.Key == c.self.Key, Address: n.Addresses, Version: n.Version,
			StartTime: n.Started, ReportTime: n.Reported, SessionCount: int32(min(n.Sessions, math.MaxInt32)),
		}
		if n.Lag != nil {
			shown.LagMillis = new(n.Lag.Milliseconds())
		}
		all = append(all, shown)
	}
	return all, nil
}
