package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/cluster"
	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/serve"
	"github.com/vigate/vigate/internal/store/bolt"
)

const nodesPath = "VigateCluster/cluster/nodes"

func TestAServerShowsItselfAsTheOnlyNode(t *testing.T) {
	dir := t.TempDir()
	r := start(t, dir, func(c *config.Config) { c.NodeName = "alone" })
	c := httpClient(t)
	token, _ := r.login(t, c)
	var nodes []cluster.VigateNode
	a := vi(t, c, r.plain, token, nodesPath, "GET")
	if err := json.Unmarshal([]byte(a.body), &nodes); err != nil || len(nodes) != 1 {
		t.Fatalf("nodes: %d %s, %v", a.status, a.body, err)
	}
	n := nodes[0]
	if !strings.HasPrefix(a.body, `[{"_typeName":"VigateNode","key":"`+n.Key+`"`) {
		t.Errorf("nodes: %s", a.body)
	}
	if n.Name != "alone" || !n.Self || n.Version != serve.Version || len(n.Address) != 2 || n.Address[0] != r.tls ||
		n.Address[1] != r.plain ||
		n.LagMillis == nil || *n.LagMillis != 0 || time.Since(n.StartTime) > patience ||
		n.ReportTime.Before(n.StartTime) {
		t.Errorf("the node is %+v", n)
	}
	if a := vi(t, c, r.plain, "", nodesPath, "GET"); a.member("_typeName") != "NotAuthenticated" {
		t.Errorf("nodes without a session: %d %s", a.status, a.body)
	}
	if a := vi(t, c, r.plain, token, "ServiceInstance/ServiceInstance/content", "GET"); strings.Contains(a.body,
		"VigateCluster") {
		t.Errorf("the API's content names what the API does not have: %s", a.body)
	}
	t.Setenv("VIGATE_PASSWORD", adminPassword)
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	out, code := vigate(t, "node", "ls", "--url", r.plain, "--username", adminUser)
	if code != 0 || !strings.Contains(out, "*  alone  "+n.Key) {
		t.Errorf("node ls: %d\n%s", code, out)
	}

	r.stop()
	db, err := bolt.Open(filepath.Join(dir, storeName), bolt.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if left, err := cluster.Live(t.Context(), db, time.Now()); err != nil || len(left) != 0 {
		t.Errorf("after a clean end there is %+v, %v", left, err)
	}
}

// VigateNode is not a type of the published API, so govmomi does not know it.
func TestAllBindingsAndThePropertyCollectorServeNodes(t *testing.T) {
	r := start(t, t.TempDir(), func(c *config.Config) { c.NodeName = "alone" })
	c := httpClient(t)
	token, _ := r.login(t, c)
	const pathSet = `"propSet":[{"_typeName":"PropertySpec","type":"VigateCluster","pathSet":["nodes"]}]`
	collected := vi(t, c, r.plain, token, "PropertyCollector/propertyCollector/RetrievePropertiesEx",
		`{"specSet":[{"_typeName":"PropertyFilterSpec",`+pathSet+`,"objectSet":[{"_typeName":"ObjectSpec","obj":`+
			`{"_typeName":"ManagedObjectReference","type":"VigateCluster","value":"cluster"}}]}],`+
			`"options":{"_typeName":"RetrieveOptions"}}`)
	const boxed = `"name":"nodes","val":{"_typeName":"ArrayOfVigateNode","_value":[{"_typeName":"VigateNode","key":"`
	if collected.status != 200 || !strings.Contains(collected.body, boxed) {
		t.Errorf("collected: %d %s", collected.status, collected.body)
	}
	const cluster = `type="VigateCluster">cluster<`
	const name = `<name>alone</name><self>true</self><address>`
	fetched := soapCall(t, c, r.plain, token, `<Fetch xmlns="urn:vim25"><_this `+cluster+
		`/_this><prop>nodes</prop></Fetch>`)
	if !strings.Contains(fetched, `xsi:type="ArrayOfVigateNode"><VigateNode><key>`) ||
		!strings.Contains(fetched, name) || !strings.Contains(fetched, `<lagMillis>0</lagMillis>`) {
		t.Errorf("fetched: %s", fetched)
	}
	retrieved := soapCall(t, c, r.plain, token,
		`<RetrievePropertiesEx xmlns="urn:vim25"><_this type="PropertyCollector">propertyCollector</_this><specSet>`+
			`<propSet><type>VigateCluster</type><pathSet>nodes</pathSet></propSet><objectSet><obj `+cluster+
			`/obj></objectSet></specSet><options/></RetrievePropertiesEx>`)
	if !strings.Contains(retrieved, `<name>nodes</name><val xsi:type="ArrayOfVigateNode"><VigateNode><key>`) ||
		!strings.Contains(retrieved, name) {
		t.Errorf("retrieved: %s", retrieved)
	}
	document := vi(t, c, r.plain, "", "openapi.json", "GET").body
	printed, code := vigate(t, "openapi")
	for from, text := range map[string]string{"the server's document": document, "the printed document": printed} {
		if !strings.Contains(text, `"/VigateCluster/{moId}/nodes"`) || !strings.Contains(text, `"VigateNode":{`) ||
			code != 0 {
			t.Errorf("%s does not serve nodes: %.300s", from, text)
		}
	}
}

func soapCall(t *testing.T, c *http.Client, base, token, body string) string {
	t.Helper()
	req, err := http.NewRequest("POST", base+"/sdk", strings.NewReader(
		`<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body>`+body+`</Body></Envelope>`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/xml")
	req.Header.Set("SOAPAction", "urn:vim25/8.0.1.0")
	req.AddCookie(&http.Cookie{Name: "vmware_soap_session", Value: token, Quoted: true})
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
