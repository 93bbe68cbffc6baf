package main

import (
	"encoding/base64"
	"go/ast"
	"go/parser"
	"go/token"
	"net/textproto"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/httptoken"
	"github.com/vigate/vigate/internal/locale"
)

// spelling lists forms of a header. If a request has one of the good forms, its response contains
// the text understood; with one of the bad forms it does not.
type spelling struct {
	request    string // request line
	header     string // additional header
	body       string
	understood string
	good, bad  []string // header lines; <token> stands for a session's token
}

// headerSpellings returns the headers that the server reads, with the forms that RFC 9110 and 6265
// allow.
func headerSpellings() map[string]spelling {
	const (
		host     = "Host: localhost\r\n"
		root     = "/sdk/vim25/8.0.1.0/" + sm
		token    = "Vmware-Api-Session-Id: <token>\r\n"
		jsonType = "Content-Type: application/json\r\n"
	)
	code := base64.StdEncoding.EncodeToString([]byte(adminUser + ":" + adminPassword))
	basic := "Authorization: Basic " + code + "\r\n"
	read := spelling{request: "GET " + root + "message", header: host, understood: " 200 OK"}
	change := spelling{request: "POST " + root + "SetLocale", header: host + jsonType + token, body: `{"locale":"en"}`,
		understood: " 204 No Content"}
	page := change
	page.header = host + jsonType + "Cookie: vmware_soap_session=<token>\r\n"
	with := func(f spelling, good, bad []string) spelling {
		f.good, f.bad = good, bad
		return f
	}
	return map[string]spelling{
		"Cookie": with(read, []string{
			"Cookie: vmware_soap_session=<token>", `Cookie: vmware_soap_session="<token>"`,
			`cookie:vmware_soap_session = "<token>" ;x=y`, "COOKIE: a=b;vmware_soap_session=\t\"<token>\"",
			"Cookie: a=b\r\nCookie: vmware_soap_session=<token>",
			`Cookie: $Version="1"; vmware_soap_session="<token>"; $Path="/"`,
			`Cookie: vmware_soap_session="<token>"; Path=/; HttpOnly; Secure;`,
		}, []string{"", "Cookie: VMWARE_SOAP_SESSION=<token>", "Cookie: xvmware_soap_session=<token>",
			"Cookie: vmware_soap_session=<token>0"}),
		httptoken.Header: with(read, []string{
			"Vmware-Api-Session-Id: <token>", "vmware-api-session-id:<token>", "VMWARE-API-SESSION-ID:  <token>\t",
			`Vmware-Api-Session-Id: "<token>"`,
			"Vmware-Api-Session-Id: <token>\r\nvmware-api-session-id: <token>",
			"Vmware-Api-Session-Id:\r\nVmware-Api-Session-Id: <token>, <token>",
		}, []string{"Vmware-Api-Session-Id: <token>0", "Vmware-Api-Session-Id: <token>\r\nVmware-Api-Session-Id: 0"}),
		"Authorization": with(spelling{request: "POST /api/session", header: host, understood: " 201 Created"},
			[]string{
				"Authorization: Basic " + code, "authorization:basic " + code, "Authorization: BASIC   " + code,
			}, []string{"", "Authorization: Basic" + code, basic + basic[:len(basic)-2]}),
		"Vmware-Use-Header-Authn": with(spelling{request: "POST /rest/com/vmware/cis/session", header: host + basic,
			understood: "Set-Cookie: "}, []string{
			"", "Vmware-Use-Header-Authn: false", "vmware-use-header-authn:False",
		}, []string{"Vmware-Use-Header-Authn: true", "vmware-use-header-authn: anything"}),
		"Content-Type": with(spelling{request: change.request, header: host + token, body: change.body,
			understood: change.understood}, []string{
			"", "Content-Type: application/json", `content-type:Application/JSON;charset="UTF-8"`,
			"Content-Type: application/json ; Charset=utf-8",
		}, []string{"Content-Type: text/plain", "Content-Type: application/json; charset=utf-16",
			"Content-Type: application/json\r\nContent-Type: application/json"}),
		"Content-Encoding": with(change, []string{
			"", "Content-Encoding: identity", "content-encoding:Identity", "Content-Encoding:",
			"Content-Encoding: identity,identity", "Content-Encoding: identity\r\nContent-Encoding: IDENTITY",
		}, []string{"Content-Encoding: gzip", "Content-Encoding: identity, GZIP",
			"Content-Encoding: identity\r\nContent-Encoding: br"}),
		"Accept-Language": with(spelling{request: read.request, header: host,
			understood: locale.Text("de", "fault.NotAuthenticated")}, []string{
			"Accept-Language: de", "accept-language:DE-de", "Accept-Language: sv, en;q=0.5,de ; q=0.8",
			"Accept-Language: en;Q=0.5, de;Q=0.501",
			"Accept-Language: en;q=0.5\r\nAccept-Language: de;q=1.000", "Accept-Language: ,de,",
			"Accept-Language: de, *;q=0.1",
		}, []string{"", "Accept-Language: en, de", "Accept-Language: de;q=0, en"}),
		"Host": with(spelling{request: "GET /healthz", understood: " 200 OK"}, []string{
			"Host: localhost", "host:LOCALHOST:80", "Host: LocalHost.", "Host: localhost:", "Host: [::1]",
			"Host: [0:0::0001]:8989", "Host: 127.0.0.1",
		}, []string{"", "Host: localhost\r\nHost: localhost", "Host: localhost.example"}),
		"Sec-Fetch-Site": with(page, []string{"", "Sec-Fetch-Site: same-origin", "sec-fetch-site:none"},
			[]string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: same-site"}),
		"Origin": with(page, []string{"", "Origin: http://localhost", "origin:http://LOCALHOST",
			"Origin: http://localhost:80"},
			[]string{"Origin: null", "Origin: http://localhost:81", "Origin: http://localhost.example",
				"Origin: http://localhost\r\nOrigin: null"}),
		// net/http answers any other value with 417.
		"Expect": with(change, []string{"", "Expect: 100-continue", "expect:100-Continue"}, []string{"Expect: 200-ok"}),
	}
}

// readElsewhere lists the headers that other tests cover, and their forms.
var readElsewhere = map[string]string{
	"Forwarded": "its being there is all that is read", "Via": "the same", "X-Real-Ip": "the same",
	"X-Forwarded-For":   "TestForwardedForIsTheRightmostUntrustedAddress of internal/server",
	"X-Forwarded-Proto": "TestTrustedProxiesNameTheSchemeThatTheClientUsed of internal/server",
	"Soapaction":        "TestTheReleaseIsReadFromEveryHeaderThatMaySayIt of internal/soap",
	"User-Agent":        "TestUserAgentsAreCutAndCannotForgeALogLine of internal/server: free text",
}

func TestEveryHeaderIsReadInEveryFormThatSendersMayWrite(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	all := headerSpellings()
	for name, f := range all {
		try := func(line string, want bool) {
			if line != "" {
				line += "\r\n"
			}
			raw := f.request + " HTTP/1.1\r\n" + f.header + line + "Connection: close\r\nContent-Length: " +
				strconv.Itoa(len(f.body)) + "\r\n\r\n" + f.body
			if got := s.sendRaw(strings.ReplaceAll(raw, "<token>", s.admin)); strings.Contains(got,
				f.understood) != want {
				t.Errorf("%s, written %q: understood should be %v\n%.500s", name, line, want, got)
			}
		}
		for _, line := range f.good {
			try(line, true)
		}
		for _, line := range f.bad {
			try(line, false)
		}
	}
	for name, where := range headersRead(t) {
		if _, ok := all[name]; !ok && readElsewhere[name] == "" {
			t.Errorf("%s reads the header %s, which no table of forms has", where, name)
		}
	}
}

// headersRead finds the request headers that the packages in front of the API read, and where they
// read them.
func headersRead(t *testing.T) map[string]string {
	t.Helper()
	constants := map[string]string{"Header": httptoken.Header, "httptoken.Header": httptoken.Header}
	read := map[string]string{}
	for _, dir := range []string{"httptoken", "binding", "vijson", "soap", "rest", "server"} {
		files, err := filepath.Glob("../../internal/" + dir + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatalf("%v, %d files in %s", err, len(files), dir)
		}
		for _, path := range files {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			written := map[ast.Expr]bool{}
			ast.Inspect(file, func(n ast.Node) bool {
				name := ""
				switch n := n.(type) {
				case *ast.AssignStmt:
					for _, e := range n.Lhs {
						written[e] = true
					}
				case *ast.IndexExpr:
					if isHeader(n.X) && !written[n] {
						name = headerName(n.Index, constants)
					}
				case *ast.CallExpr:
					f, ok := n.Fun.(*ast.SelectorExpr)
					switch {
					case !ok:
					case (f.Sel.Name == "Get" || f.Sel.Name == "Values") && isHeader(f.X) && len(n.Args) == 1:
						name = headerName(n.Args[0], constants)
					case f.Sel.Name == "UserAgent":
						name = "User-Agent"
					case f.Sel.Name == "BasicAuth":
						name = "Authorization"
					}
				case *ast.SelectorExpr:
					if x, ok := n.X.(*ast.Ident); ok && x.Name == "r" && n.Sel.Name == "Host" {
						name = "Host"
					}
				}
				if name != "" {
					read[textproto.CanonicalMIMEHeaderKey(name)] = path
				}
				return true
			})
		}
	}
	if len(read) < 12 {
		t.Fatalf("found only %v", read)
	}
	return read
}

// isHeader reports whether the expression reads a request header by its name. Response headers are
// written through a ResponseWriter.
func isHeader(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name == "h" || e.Name == "header"
	case *ast.SelectorExpr:
		return e.Sel.Name == "Header"
	}
	return false
}

func headerName(e ast.Expr, constants map[string]string) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, _ := strconv.Unquote(e.Value)
		return s
	case *ast.Ident:
		return constants[e.Name]
	case *ast.SelectorExpr:
		if x, ok := e.X.(*ast.Ident); ok {
			return constants[x.Name+"."+e.Sel.Name]
		}
	}
	return ""
}

// The test checks that the walk finds the headers that are known to be read.
func TestTheWalkOverHeadersFindsThoseThatAreKnownToBeRead(t *testing.T) {
	read := headersRead(t)
	for name := range headerSpellings() {
		if read[name] == "" {
			t.Errorf("%s is not found", name)
		}
	}
	for name := range readElsewhere {
		// these are in a list
		if read[name] == "" && !slices.Contains([]string{"Forwarded", "Via", "X-Real-Ip"}, name) {
			t.Errorf("%s is not found", name)
		}
	}
}
