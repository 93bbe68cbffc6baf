package clients

import (
	"net"
	"strings"
	"testing"

	"github.com/vmware/govmomi/session"
	"k8s.io/cloud-provider-vsphere/pkg/common/vclib"
)

// The code by which the cloud provider of Kubernetes connects: it takes a certificate and its key in place of a
// user and a password, gets a token for them, and logs in with the token. The storage driver does the same.
func TestTheCloudProviderOfKubernetesLogsInByItsCertificate(t *testing.T) {
	s := newServer(t)
	const name = "com.example.cloud-provider"
	cert, key := s.extension(t, name)
	admin := s.govc(t, adminUser, adminPassword, false)
	host, port, err := net.SplitHostPort(s.tls)
	if err != nil {
		t.Fatal(err)
	}
	connect := func(cert, key string) (*vclib.VSphereConnection, error) {
		c := &vclib.VSphereConnection{
			Hostname: host, Port: port, Insecure: true, Username: readFile(t, cert), Password: readFile(t, key),
		}
		return c, c.Connect(t.Context())
	}
	c, err := connect(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	who := func() string {
		t.Helper()
		u, err := session.NewManager(c.Client).UserSession(t.Context())
		if err != nil || u == nil {
			t.Fatalf("the session: %v, %v", u, err)
		}
		return u.UserName + " " + u.Key
	}
	first := who()
	if !strings.HasPrefix(first, name+" ") {
		t.Errorf("it is logged in as %s", first)
	}
	// It keeps its session, and gets a new token once the session is over.
	if err := c.Connect(t.Context()); err != nil || who() != first {
		t.Errorf("again: %v, %s", err, who())
	}
	admin.ok("session.rm", strings.Fields(first)[1])
	if err := c.Connect(t.Context()); err != nil || who() == first {
		t.Errorf("after the end of its session: %v, %s", err, who())
	}
	other, otherKey := rsaCertificate(t, name)
	if _, err := connect(other, otherKey); err == nil || !strings.Contains(err.Error(), "Invalid credentials") {
		t.Errorf("another certificate of the same name: %v", err)
	}
}
