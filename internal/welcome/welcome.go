// Package welcome serves the page at the path "/", for people who open the server's address in a browser: it says
// what this server is, and where its services are. It needs no session and shows nothing that differs between two
// servers of one version, so a stranger learns no more from it than from the API.
package welcome

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"slices"
)

//go:embed page.html
var source string

var page = template.Must(template.New("page").Parse(source))

// Service is one line of the page.
type Service struct {
	Path string // on this server; a link if Link is set
	Link bool   // a browser can open the path
	Text string // what there is at the path
}

// Services are the lines of every server.
var Services = []Service{
	{"/sdk", false, "the API over SOAP: govc, govmomi, pyVmomi, PowerCLI"},
	{"/sdk/vim25/8.0.1.0/", false, "the API as JSON over HTTP: the Virtual Infrastructure JSON API"},
	{"/api/session", false, "the sessions of the Automation API; the older form is /rest/com/vmware/cis/session"},
	{"/sdk/vim25/8.0.1.0/openapi.json", true, "the OpenAPI document, for clients that are generated from it"},
	{"/sdk/vimService.wsdl", true, "the WSDL, for clients that are built from it"},
	{"/readyz", true, "whether the server serves now"},
}

// Mount adds the page to mux. more are lines besides Services, which come first.
func Mount(mux *http.ServeMux, more ...Service) {
	all := slices.Concat(more, Services)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		var b bytes.Buffer
		if err := page.Execute(&b, all); err != nil {
			http.Error(w, "the page could not be made", http.StatusInternalServerError)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy",
			"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		_, _ = b.WriteTo(w)
	})
}
