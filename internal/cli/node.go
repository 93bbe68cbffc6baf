package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/cli/command"
)

func (a *app) node() *cobra.Command {
	return command.Group("node", "See the nodes of a cluster", a.nodeList())
}

// clusterRef is an object that only vigate has, so that no list of the server's
// managers names it.
var clusterRef = types.ManagedObjectReference{Type: "VigateCluster", Value: "cluster"}

// clusterNode is the server's VigateNode.
type clusterNode struct {
	Key          string    `json:"key"`
	Name         string    `json:"name"`
	Self         bool      `json:"self"`
	Address      []string  `json:"address,omitempty"`
	Version      string    `json:"version"`
	StartTime    time.Time `json:"startTime"`
	ReportTime   time.Time `json:"reportTime"`
	SessionCount int32     `json:"sessionCount"`
	LagMillis    *int64    `json:"lagMillis,omitempty"`
}

func (a *app) nodeList() *cobra.Command {
	cmd := a.command("ls [flags]", "List the nodes that run; * is the one that answers", cobra.NoArgs, func(ctx context.Context, j *job) error {
		list, err := property[[]clusterNode](ctx, j, clusterRef, "nodes")
		if command.IsFault[*types.InvalidType](err) || command.IsFault[*types.ManagedObjectNotFound](err) {
			return command.NotFound("%s does not tell of its nodes: it is an older vigate, or another server", j.URL())
		}
		if err != nil {
			return err
		}
		return j.Out.Show(list, func() *command.Table {
			t := &command.Table{Header: []string{"", "NAME", "KEY", "VERSION", "UP", "SEEN", "LAG", "SESSIONS", "ADDRESS"}}
			for _, n := range list {
				mark, lag := " ", "unknown"
				if n.Self {
					mark = "*"
				}
				if n.LagMillis != nil {
					lag = (time.Duration(*n.LagMillis) * time.Millisecond).String()
				}
				t.Add(mark, n.Name, n.Key, n.Version, j.Out.Age(n.StartTime), j.Out.Age(n.ReportTime), lag, fmt.Sprint(n.SessionCount), strings.Join(n.Address, " "))
			}
			return t
		})
	})
	cmd.Long = cmd.Short + `.

SEEN is how long ago the node reported last, which it does every 5 s: who does
not for 20 s is not listed. LAG is how long before that it was certain to know
all that the cluster had acknowledged. SESSIONS are the cluster's, as the node
knows them.`
	cmd.Aliases = []string{"list"}
	return cmd
}
