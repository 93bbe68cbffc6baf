package gateway_test

import (
	"crypto/sha1" //nolint:gosec // the API shows certificates by their SHA-1
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/gateway"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/vim"
)

// frontLinks are the links of a front at a fixed address. They rewrite no URLs.
type frontLinks struct{ gateway.Links }

func (frontLinks) Text(_ *vim.Call, b []byte) []byte    { return b }
func (frontLinks) Request(_ *vim.Call, b []byte) []byte { return b }
func (frontLinks) Address(*vim.Call) *url.URL           { return mustURL("https://front.example:9443") }

// overTLS makes the double speak TLS. It returns its host, its port and its thumbprint.
func (d *double) overTLS(t *testing.T) (host, port, thumbprint string) {
	t.Helper()
	d.server = httptest.NewTLSServer(d.server.Config.Handler)
	t.Cleanup(d.server.Close)
	u := mustURL(d.server.URL)
	sum := sha1.Sum(d.server.Certificate().Raw) //nolint:gosec // see the import
	return u.Hostname(), u.Port(), strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":")
}

const ownThumbprint = "00:11:22"

// stageTickets is stage for a front with an address and a certificate, whose clients come over TLS or not.
func stageTickets(t *testing.T, d *double, tls bool) *scene {
	t.Helper()
	s := stage(t, d, "    insecure: true\n", func(o *gateway.Options) {
		o.Links, o.Thumbprint = frontLinks{}, func() string { return ownThumbprint }
	})
	s.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := *peer.From(r.Context())
		p.TLS = tls
		s.front.ServeHTTP(w, r.WithContext(peer.With(r.Context(), &p)))
	})
	return s
}

func TestATicketForAConsoleLeadsToTheFrontIfItLeadsToTheUpstream(t *testing.T) {
	d := newDouble(t)
	host, port, sum := d.overTLS(t)
	const name, own = "AcquireTicket", "<sslThumbprint>" + ownThumbprint + "</sslThumbprint>"
	certificates := "<certThumbprintList><thumbprint>" + sum + "</thumbprint><hashAlgorithm>sha1</hashAlgorithm>" +
		"</certThumbprintList>"
	for _, tls := range []bool{true, false} {
		s := stageTickets(t, d, tls)
		c := s.login(1)
		shown := map[bool]string{true: own}[tls]
		for answer, want := range map[string]string{
			"<ticket>t</ticket><cfgFile>f</cfgFile><host>" + host + "</host><port>" + port + "</port>" +
				"<sslThumbprint>" + sum + "</sslThumbprint>" + certificates +
				certificates: "<ticket>t</ticket><cfgFile>f</cfgFile>" +
				"<host>front.example</host><port>9443</port>" + shown,
			// Without a host it leads to the server that was asked.
			"<ticket>t</ticket><port>" + port + "</port>": "<ticket>t</ticket><port>9443</port>",
			// The protocol of the other port has no tunnel, and another host is not the upstream.
			"<host>" + host + "</host><port>902</port><sslThumbprint>" + sum + "</sslThumbprint>": "",
			"<host>esx7.example</host><port>443</port><sslThumbprint>AA:BB</sslThumbprint>":       "",
		} {
			if want == "" {
				want = answer
			}
			envelope := func(of string) string {
				return `<` + name + `Response xmlns="urn:vim25"><returnval>` + of + `</returnval></` + name +
					`Response>`
			}
			d.answers(name, envelope(answer))
			status, got := c.post(`<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body><AcquireTicket ` +
				`xmlns="urn:vim25"><_this type="VirtualMachine">vm-1</_this><ticketType>webmks</ticketType>` +
				`</AcquireTicket></Body></Envelope>`)
			if status != 200 || !strings.Contains(got, envelope(want)) {
				t.Errorf("TLS %v: %d %s\nwant %s", tls, status, got, want)
			}
		}
	}
}

func TestTheThumbprintBesideAURLOfTheUpstreamIsTheFronts(t *testing.T) {
	d := newDouble(t)
	_, _, sum := d.overTLS(t)
	s := stageTickets(t, d, true)
	c := s.login(1)
	_ = c.machine("DC0_H0_VM0")
	own := "<url>https://*/nfc/a/b.vmdk</url><sslThumbprint>" + sum + "</sslThumbprint>"
	other := "<url>https://esx7.example/nfc/c</url><sslThumbprint>AA:BB</sslThumbprint>"
	summary := "<port>443</port><sslThumbprint>" + sum + "</sslThumbprint>" // who adds the host elsewhere needs it
	d.answers("RetrievePropertiesEx", `<RetrievePropertiesExResponse xmlns="urn:vim25">`+own+other+summary+
		`</RetrievePropertiesExResponse>`)
	status, got := c.post(envelope(`<RetrievePropertiesEx xmlns="urn:vim25"><_this type="PropertyCollector">` +
		`propertyCollector</_this><specSet/><options/></RetrievePropertiesEx>`))
	want := strings.Replace(own, sum, ownThumbprint, 1) + other + summary
	if status != 200 || !strings.Contains(got, want) {
		t.Errorf("%d %s\nwant %s", status, got, want)
	}
}
