// Package lookup is the Lookup Service, which tells clients of vCenter where its services are: at
// /lookupservice/sdk, the operations RetrieveServiceContent, List and GetSiteId. Clients such as govc find
// the Security Token Service by it. Nothing can be registered.
//
// [Mount] serves it. All URLs in the answers have the host by which the client called: a server has many
// names, and only this one is known to work for the client. The package knows only the paths of the
// services.
package lookup

import (
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/httptoken"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/xmlsig"
	"github.com/vigate/vigate/internal/xmltoken"
)

// Path is where the Lookup Service is served.
const Path = "/lookupservice/sdk"

const (
	nsLookup   = "urn:lookup"
	nsEnvelope = "http://schemas.xmlsoap.org/soap/envelope/"
	nsInstance = "http://www.w3.org/2001/XMLSchema-instance"

	// maxBody is the size of the largest request, in bytes. Clients send some hundred.
	maxBody = 16 << 10
	version = "2.0"
)

// Options are what the answers contain. All are required.
type Options struct {
	// Instance returns the UUID of the instance. It is also the id of the site and of the node.
	Instance func() string
	// Certificate returns the certificate of the server's TLS listeners in DER.
	Certificate func() []byte
	// Domain is the domain of the local users.
	Domain string
	// Tokens is the path of the Security Token Service, and API that of the SOAP binding.
	Tokens, API string
}

// service serves the Lookup Service.
type service struct {
	Options
	bodies *binding.Bodies
}

// Mount adds the Lookup Service to mux. All bindings must share bodies.
func Mount(mux *http.ServeMux, o Options, bodies *binding.Bodies) {
	mux.Handle(Path, &service{o, bodies})
}

// ServeHTTP answers one request.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		binding.Send(w, r.Method, http.StatusMethodNotAllowed, []string{"text/plain; charset=utf-8"},
			[]byte("The Lookup Service takes POST only.\n"))
		return
	}
	if httptoken.Foreign(r) {
		send(w, http.StatusForbidden, fault("ClientFaultCode", "A browser sent this for a page of another origin"))
		return
	}
	body, err := s.bodies.Read(w, r, maxBody)
	defer body.Free()
	if err != nil {
		send(w, http.StatusInternalServerError, fault("ClientFaultCode", "The request is too large or incomplete"))
		return
	}
	operation, ok := operationOf(body.Bytes)
	if !ok {
		send(w, http.StatusInternalServerError, fault("ClientFaultCode",
			"The request is not a SOAP message of "+nsLookup))
		return
	}
	var content string
	switch name := operation.Name(); name {
	case "RetrieveServiceContent":
		content = serviceContent
	case "GetSiteId":
		content = leaf("returnval", s.Instance())
	case "List":
		content = s.list(r, filterOf(operation))
	default:
		send(w, http.StatusInternalServerError, fault("ServerFaultCode", "The operation is not supported"))
		return
	}
	name := operation.Name() + "Response"
	send(w, http.StatusOK, `<`+name+` xmlns="`+nsLookup+`">`+content+`</`+name+`>`)
}

func send(w http.ResponseWriter, status int, content string) {
	binding.Send(w, http.MethodPost, status, []string{"text/xml; charset=utf-8"}, []byte(
		`<?xml version="1.0" encoding="UTF-8"?>`+"\n"+`<soapenv:Envelope xmlns:soapenv="`+nsEnvelope+
			`" xmlns:xsi="`+nsInstance+`"><soapenv:Body>`+content+`</soapenv:Body></soapenv:Envelope>`))
}

func fault(code, text string) string {
	return `<soapenv:Fault><faultcode>` + code + `</faultcode><faultstring>` + text + `</faultstring></soapenv:Fault>`
}

// operationOf returns the element of the operation. There is one Body.
func operationOf(raw []byte) (operation xmlsig.Element, ok bool) {
	d, err := xmlsig.Parse(raw)
	if err != nil || !d.Root().Is(nsEnvelope, "Envelope") {
		return operation, false
	}
	parts, _ := d.Root().Children()
	for _, p := range parts {
		if !p.Is(nsEnvelope, "Body") {
			continue
		}
		inner, fine := p.Children()
		if !fine || len(inner) != 1 || !operation.IsZero() {
			return operation, false
		}
		operation = inner[0]
	}
	return operation, operation.Is(nsLookup, operation.Name())
}

// serviceContent is the result of RetrieveServiceContent.
const serviceContent = `<returnval><lookupService type="LookupLookupService">lookupService</lookupService>` +
	`<serviceRegistration type="LookupServiceRegistration">ServiceRegistration</serviceRegistration>` +
	`<deploymentInformationService type="LookupDeploymentInformationService">deploymentInformationService` +
	`</deploymentInformationService><l10n type="LookupL10n">l10n</l10n></returnval>`

// registration is one service and its one endpoint.
type registration struct {
	id, product, service string // service is its type
	protocol, endpoint   string // endpoint is its type
	version, path        string
}

// registrations returns the services. PowerCLI looks for the token service by its older type sso:sts.
func (s *service) registrations() []registration {
	const cis = "com.vmware.cis"
	id := s.Instance()
	return []registration{
		{id + ":sso", cis, "cs.identity", "wsTrust", cis + ".cs.identity.sso", version, s.Tokens},
		{id + ":sts", cis, "sso:sts", "wsTrust", "com.vmware.cis.cs.identity.sso", version, s.Tokens},
		{id, cis, "vcenterserver", "vmomi", "com.vmware.vim", version, s.API},
	}
}

// filter is what List asks for. An empty text is everything.
type filter map[string]string

// filterOf returns the filter of a List. Its keys are the names of the elements, such as
// "serviceType.product".
func filterOf(operation xmlsig.Element) filter {
	f := filter{}
	arguments, _ := operation.Children()
	for _, a := range arguments {
		if a.Name() == "filterCriteria" {
			f.read("", a)
		}
	}
	return f
}

func (f filter) read(prefix string, e xmlsig.Element) {
	parts, _ := e.Children()
	for _, p := range parts {
		name := prefix + p.Name()
		if text, ok := p.Text(); ok {
			f[name] = strings.TrimSpace(text)
		} else {
			f.read(name+".", p)
		}
	}
}

// list returns the result of List.
func (s *service) list(r *http.Request, f filter) string {
	scheme := peer.From(r.Context()).Scheme() + "://"
	var b strings.Builder
	for _, g := range s.registrations() {
		matches := true
		for name, is := range map[string]string{
			"siteId": s.Instance(), "nodeId": s.Instance(), "serviceType.product": g.product,
			"serviceType.type":      g.service,
			"endpointType.protocol": g.protocol, "endpointType.type": g.endpoint,
		} {
			matches = matches && (f[name] == "" || f[name] == is)
		}
		if matches {
			b.WriteString(s.info(g, scheme+r.Host+g.path))
		}
	}
	return b.String()
}

// info returns one service. The order of the elements is that of the type.
func (s *service) info(g registration, url string) string {
	return `<returnval>` + leaf("serviceVersion", g.version) +
		`<serviceEndpoints>` + leaf("url", url) +
		`<endpointType>` + leaf("protocol", g.protocol) + leaf("type", g.endpoint) + `</endpointType>` +
		leaf("sslTrust", base64.StdEncoding.EncodeToString(s.Certificate())) + `</serviceEndpoints>` +
		leaf("ownerId", "administrator@"+strings.ToLower(s.Domain)) +
		`<serviceType>` + leaf("product", g.product) + leaf("type", g.service) + `</serviceType>` +
		leaf("nodeId", s.Instance()) + leaf("serviceId", g.id) + leaf("siteId", s.Instance()) + `</returnval>`
}

// leaf returns an element with a text.
func leaf(name, text string) string {
	return "<" + name + ">" + string(xmltoken.AppendText(nil, text)) + "</" + name + ">"
}
