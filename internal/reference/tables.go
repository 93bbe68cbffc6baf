package reference

import (
	"fmt"
	"strings"

	"github.com/vigate/vigate/internal/console"
	"github.com/vigate/vigate/internal/rest"
	"github.com/vigate/vigate/internal/soap"
	"github.com/vigate/vigate/internal/sts"
	"github.com/vigate/vigate/internal/sts/lookup"
	"github.com/vigate/vigate/internal/vijson"
)

// Differs describes differences to vCenter, by object and operation.
var Differs = map[string]string{
	"SessionManager.AcquireCloneTicket": "the ticket lives for the option vigate.ticket.lifetime, and " +
		"never longer than its session",
	"SessionManager.AcquireGenericServiceTicket": "this server accepts the ticket too, as the cookie " +
		"vmware_cgi_ticket of one request",
	"SessionManager.AcquireLocalTicket": "it works on Unix, for callers of the Unix socket, and of " +
		"loopback addresses if the configuration allows it",
	"SessionManager.CloneSession": "a clone ends when its source would have ended at the latest",
	"SessionManager.ImpersonateUser": "the target needs a live session of its own, or is an extension " +
		"whose authority the caller has",
	"SessionManager.Login": "past a limit of sessions the answer is 503 with Retry-After; a locked user " +
		"gets the answer of a wrong password",
	"SessionManager.LoginBySSPI": "Kerberos only: NTLM is never accepted",
	"SessionManager.LoginByToken": "it also takes JSON Web Tokens of configured issuers, and SAML tokens " +
		"in the header Authorization; a bearer token logs in once",
	"SessionManager.LoginExtensionByCertificate": "the certificate must be the registered one, byte for byte",
	"SessionManager.LoginExtensionBySubjectName": "a revocation list that has expired refuses all " +
		"certificates of its issuer",
	"SessionManager.Logout":               "the clone tickets and service tickets of the session end with it",
	"SessionManager.SessionIsActive":      "the call does not count as activity of the session that it is about",
	"SessionManager.TerminateSession":     "a token or a ticket in place of a key is not found",
	"SessionManager.UpdateServiceMessage": "a message has at most 16 KiB",
}

// Path is a path of HTTP that the server has.
type Path struct {
	Path, Methods, What string
	// Listener is "" for the listeners of clients, or "admin".
	Listener string
}

// Served are the paths of the server.
var Served = []Path{
	{Path: "/", Methods: "GET", What: "a page that says what the server is, and where to go"},
	{Path: console.Root, Methods: "GET", What: "the console: pages for browsers, if the key `console` is set"},
	{Path: "/sdk", Methods: "POST", What: "calls over SOAP; also at the paths of the WSDL"},
	{Path: "/sdk/vimService.wsdl", Methods: "GET", What: "the WSDL; its schemas are beside it"},
	{Path: soap.VersionsPath, Methods: "GET", What: "the versions of the API"},
	{Path: vijson.HelloPath, Methods: "POST", What: "the release of the API for VI JSON, as `?action=hello`"},
	{Path: vijson.Root + "{release}/{type}/{id}/{name}", Methods: "GET, POST",
		What: "VI JSON: GET reads a property, POST calls an operation"},
	{Path: vijson.Root + "{release}/openapi.json", Methods: "GET", What: "the OpenAPI document"},
	{Path: rest.APIPath, Methods: "GET, POST, DELETE",
		What: "the session of the Automation API: POST logs in by Basic, Bearer or SIGN, DELETE logs out"},
	{Path: rest.RESTPath, Methods: "POST, DELETE", What: "the same in the older form; `?~action=get` describes it"},
	{Path: sts.Path, Methods: "POST", What: "the Security Token Service: WS-Trust 1.3; also with the domain below it"},
	{Path: sts.TokenPath, Methods: "POST", What: "exchange of a JSON Web Token for a SAML token"},
	{Path: lookup.Path, Methods: "POST", What: "the Lookup Service: where the token service is"},
	{Path: "/healthz", Methods: "GET", What: "200 as long as the process serves requests"},
	{Path: "/readyz", Methods: "GET", What: "200 if the server can do its work, otherwise 503 and the reason"},
	{Path: "/metrics", Methods: "GET", What: "metrics for Prometheus", Listener: "admin"},
	{Path: "/debug/pprof/", Methods: "GET", What: "profiles of the process", Listener: "admin"},
}

// Paths returns the page of the paths that the server has.
func Paths() string {
	var b strings.Builder
	b.WriteString(head("Paths", "What the server answers over HTTP. A front has the paths of its upstream as well."))
	for _, part := range []struct{ listener, title string }{
		{"", "Listeners of clients"}, {"admin", "The listener `admin-listen`"},
	} {
		b.WriteString("## " + part.title + "\n\n| path | methods | what |\n|--|--|--|\n")
		for _, p := range Served {
			if p.Listener == part.listener {
				fmt.Fprintf(&b, "| `%s` | %s | %s |\n", p.Path, p.Methods, cell(p.What))
			}
		}
		if part.listener == "" {
			b.WriteString("\n")
		}
	}
	return b.String()
}
