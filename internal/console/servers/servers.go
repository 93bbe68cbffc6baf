// Package servers has the sections of the console for the nodes of a cluster and for the upstreams. They show the
// properties of the managed objects VigateCluster and UpstreamManager.
//
// The page of the nodes is updated in the browser: the nodes report every few seconds, and each report is a change of
// the property. The upstreams have no such signal, so their page shows one moment. A test of an upstream logs in
// there, and needs the privilege of the method TestUpstream.
package servers

import (
	"bytes"
	"embed"
	"time"

	"github.com/vigate/vigate/internal/cluster"
	"github.com/vigate/vigate/internal/console"
	"github.com/vigate/vigate/internal/console/page"
	"github.com/vigate/vigate/internal/upstream/manager"
)

//go:embed templates
var templates embed.FS

// pace is the shortest time between two parts of a stream.
const pace = 700 * time.Millisecond

// The rows that the sections use.
var (
	nodesRow     = console.Row{Type: cluster.ObjectType, Name: "nodes"}
	upstreamsRow = console.Row{Type: manager.ObjectType, Name: "upstreams"}
	testRow      = console.Row{Type: manager.ObjectType, Name: "TestUpstream", Method: true}
)

// Nodes returns the section of the nodes.
func Nodes() console.Section {
	return console.Section{
		Name: "nodes", Title: "console.nodes", Needs: nodesRow, Templates: page.Parse(templates, "templates/*.html"),
		Pages: map[string]console.Page{"GET nodes": func(x *console.Request) error {
			all, err := nodes(x)
			if err != nil {
				return err
			}
			return x.Page("nodes", x.Text("console.nodes"), all)
		}},
		Streams: map[string]console.Page{"GET nodes/follow": followNodes},
	}
}

// node is a node as the page shows it.
type node struct {
	cluster.VigateNode
	Lag string // empty: not known
}

func nodes(x *console.Request) ([]node, error) {
	list, err := console.Get[[]cluster.VigateNode](x, cluster.ObjectType, nodesRow.Name)
	if err != nil {
		return nil, err
	}
	all := make([]node, len(list))
	for i, n := range list {
		all[i].VigateNode = n
		if n.LagMillis != nil {
			all[i].Lag = page.Count(*n.LagMillis) + " ms"
		}
	}
	return all, nil
}

func followNodes(x *console.Request) error {
	return x.Follow(pace, []console.Row{nodesRow}, func() ([]byte, error) {
		all, err := nodes(x)
		if err != nil {
			return nil, err
		}
		var out bytes.Buffer
		err = x.Part(&out, "nodelist", all)
		return out.Bytes(), err
	})
}

// Upstreams returns the section of the upstreams.
func Upstreams() console.Section {
	return console.Section{
		Name: "upstreams", Title: "console.upstreams", Needs: upstreamsRow,
		Templates: page.Parse(templates, "templates/*.html"),
		Pages:     map[string]console.Page{"GET upstreams": showUpstreams, "POST upstreams/test": test},
	}
}

// upstreamsBody is what the page shows.
type upstreamsBody struct {
	All     []manager.VigateUpstream
	MayTest bool
}

func showUpstreams(x *console.Request) error {
	all, err := console.Get[[]manager.VigateUpstream](x, manager.ObjectType, upstreamsRow.Name)
	if err != nil {
		return err
	}
	return x.Page("upstreams", x.Text("console.upstreams"), upstreamsBody{all, x.May(testRow)})
}

// test tests an upstream, and shows what it found.
func test(x *console.Request) error {
	v, err := x.Do(manager.ObjectType, testRow.Name, &manager.TestUpstreamRequestType{Name: x.Form.Get("name")})
	if err != nil {
		return err
	}
	found, _ := v.([]manager.VigateUpstreamFinding)
	return x.Page("tested", x.Form.Get("name"), found)
}
