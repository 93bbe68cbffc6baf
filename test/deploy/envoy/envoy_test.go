// Package envoy tests the files for Envoy in deploy/proxy: they must fit Envoy's own types, in which an unknown field
// is an error, and keep the rules of these types. Envoy itself does not run here.
package envoy

import (
	"os"
	"strings"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"sigs.k8s.io/yaml"
)

// longestWait is how long a client of vigate may wait for changes.
const longestWait = 30 * time.Minute

func parse(text string) (*bootstrapv3.Bootstrap, error) {
	json, err := yaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		return nil, err
	}
	b := &bootstrapv3.Bootstrap{}
	if err := protojson.Unmarshal(json, b); err != nil {
		return nil, err
	}
	return b, b.ValidateAll()
}

func load(t *testing.T, kind string) (string, *bootstrapv3.Bootstrap) {
	t.Helper()
	text, err := os.ReadFile("../../../deploy/proxy/envoy-" + kind + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	b, err := parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return string(text), b
}

// typed unpacks a message and checks its own rules, which those of what contains it don't include.
func typed[M interface {
	proto.Message
	ValidateAll() error
}](t *testing.T, packed *anypb.Any, into M) M {
	t.Helper()
	if err := packed.UnmarshalTo(into); err != nil {
		t.Fatal(err)
	}
	if err := into.ValidateAll(); err != nil {
		t.Error(err)
	}
	return into
}

// checkCluster checks what both files say of the servers.
func checkCluster(t *testing.T, b *bootstrapv3.Bootstrap) *clusterv3.Cluster {
	t.Helper()
	all := b.GetStaticResources().GetClusters()
	if len(all) != 1 || len(all[0].GetLoadAssignment().GetEndpoints()[0].GetLbEndpoints()) != 3 {
		t.Fatalf("clusters are %v", all)
	}
	c := all[0]
	path := c.GetHealthChecks()[0].GetHttpHealthCheck().GetPath()
	if c.GetLbPolicy() != clusterv3.Cluster_RING_HASH || path != "/readyz" {
		t.Errorf("servers are chosen by %v and checked by %v", c.GetLbPolicy(), c.GetHealthChecks())
	}
	return c
}

func TestTheFileThatPassesTLSThroughFitsEnvoy(t *testing.T) {
	_, b := load(t, "pass-through")
	c := checkCluster(t, b)
	filter := b.GetStaticResources().GetListeners()[0].GetFilterChains()[0].GetFilters()[0]
	tcp := typed(t, filter.GetTypedConfig(), &tcpv3.TcpProxy{})
	if tcp.GetCluster() != c.GetName() || tcp.GetIdleTimeout().AsDuration() <= longestWait ||
		tcp.GetHashPolicy()[0].GetSourceIp() == nil {
		t.Errorf("connections are passed by %v", tcp)
	}
	// The connections of health checks have TLS, although those of clients pass unchanged.
	match := c.GetTransportSocketMatches()[0]
	typed(t, match.GetTransportSocket().GetTypedConfig(), &tlsv3.UpstreamTlsContext{})
	used := c.GetHealthChecks()[0].GetTransportSocketMatchCriteria()
	if !proto.Equal(match.GetMatch(), used) {
		t.Errorf("health checks use %v, not %v", used, match.GetMatch())
	}
}

func TestTheFileThatEndsTLSFitsEnvoy(t *testing.T) {
	_, b := load(t, "re-encrypt")
	c := checkCluster(t, b)
	chain := b.GetStaticResources().GetListeners()[0].GetFilterChains()[0]
	typed(t, chain.GetTransportSocket().GetTypedConfig(), &tlsv3.DownstreamTlsContext{})
	m := typed(t, chain.GetFilters()[0].GetTypedConfig(), &hcmv3.HttpConnectionManager{})
	route := m.GetRouteConfig().GetVirtualHosts()[0].GetRoutes()[0].GetRoute()
	if m.GetStreamIdleTimeout().AsDuration() <= longestWait || route.GetTimeout() == nil ||
		route.GetTimeout().AsDuration() != 0 || route.GetCluster() != c.GetName() || route.GetRetryPolicy() != nil {
		t.Errorf("waits are cut: %v, %v", m.GetStreamIdleTimeout(), route)
	}
	if !m.GetUseRemoteAddress().GetValue() || m.GetUpgradeConfigs()[0].GetUpgradeType() != "websocket" ||
		!route.GetHashPolicy()[0].GetConnectionProperties().GetSourceIp() {
		t.Errorf("clients are told apart by %v", m)
	}
	upstream := typed(t, c.GetTransportSocket().GetTypedConfig(), &tlsv3.UpstreamTlsContext{})
	trust := upstream.GetCommonTlsContext().GetValidationContext()
	name := trust.GetMatchTypedSubjectAltNames()[0].GetMatcher().GetExact()
	if trust.GetTrustedCa() == nil || name != upstream.GetSni() {
		t.Errorf("servers are trusted by %v", trust)
	}
	const options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
	keep := typed(t, c.GetTypedExtensionProtocolOptions()[options], &httpv3.HttpProtocolOptions{})
	// The server closes connections without a request after 902 s.
	if idle := keep.GetCommonHttpProtocolOptions().GetIdleTimeout().AsDuration(); idle <= 0 || idle >= 900*time.Second {
		t.Errorf("connections to servers are kept for %v", idle)
	}
}

func TestAMistakeInAFileIsFound(t *testing.T) {
	for old, wrong := range map[string]string{
		"idle_timeout:": "idle_time:", "prefix: /": "prefix: 1", "port_value: 443": "port_value: 99999",
		"interval: 2s": "interval: 2", "v3.Router": "v3.Routr",
	} {
		text, _ := load(t, "re-encrypt")
		if !strings.Contains(text, old) {
			t.Fatalf("there is no %s", old)
		}
		if _, err := parse(strings.ReplaceAll(text, old, wrong)); err == nil {
			t.Errorf("%s is not found", wrong)
		}
	}
}
