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
	return command.Group("node", "Show the nodes of a cluster", a.nodeList())
}

// clusterRef names an object that only vigate has. The server's list of managers does not include
// it.
var clusterRef = types.ManagedObjectReference{Type: "VigateCluster", Value: "cluster"}

// clusterNode has the members of the API type VigateNode.
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
	cmd := a.command("ls [flags]", "List the running nodes; * marks the node that responds", cobra.NoArgs,
		func(ctx context.Context, j *job) error {
			list, err := property[[]clusterNode](ctx, j, clusterRef, "nodes")
			if command.IsFault[*types.InvalidType](err) || command.IsFault[*types.ManagedObjectNotFound](err) {
				return command.NotFound("%s does not list its nodes; it is an older vigate or another kind of server",
					j.URL())
			}
			if err != nil {
				return err
			}
			return j.Out.Show(list, func() *command.Table {
				t := &command.Table{Header: []string{"", "NAME", "KEY", "VERSION", "UP", "SEEN", "LAG", "SESSIONS",
					"ADDRESS"}}
				for _, n := range list {
					mark, lag := " ", "unknown"
					if n.Self {
						mark = "*"
					}
					if n.LagMillis != nil {
						lag = (time.Duration(*n.LagMillis) * time.Millisecond).String()
					}
					t.Add(mark, n.Name, n.Key, n.Version, j.Out.Age(n.StartTime), j.Out.Age(n.ReportTime), lag,
						fmt.Sprint(n.SessionCount), strings.Join(n.Address, " "))
				}
				return t
			})
		})
	cmd.Long = cmd.Short + `.

SEEN is the time since the node's last report. A node reports every 5 s and is
not listed after 20 s without a report. LAG is how far the node may have been
behind the cluster's acknowledged changes at that report. SESSIONS is the number
of sessions in the whole cluster that the node knew of.`
	cmd.Aliases = []string{"list"}
	return cmd
}
