package path

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/vigate/vigate/internal/secret"
)

// maxRPC is the size of the largest request of JSON-RPC in bytes.
const maxRPC = 16 << 20

const (
	sessionService = "com.vmware.cis.session"
	byPassword     = "com.vmware.vapi.std.security.user_pass"
	bySession      = "com.vmware.vapi.std.security.session_id"
)

// span is a part of a message, as offsets of bytes.
type span struct{ from, to int }

// replace returns the message with a JSON text in place of the span.
func (s *span) replace(b []byte, with secret.Text) []byte {
	quoted, err := json.Marshal(with.Reveal())
	if err != nil {
		panic(err) // texts can be encoded
	}
	return slices.Concat(b[:s.from], quoted, b[s.to:])
}

// rpcCall is a request of JSON-RPC, the protocol of the Python and Java SDKs for the Automation API. It
// carries the credentials in its body.
type rpcCall struct {
	id                 json.RawMessage
	service, operation string
	scheme             string
	user               string
	password, session  secret.Text
	at                 *span // of the session's id
}

var errRPC = errors.New("this is not a request of JSON-RPC with one call")

// parseRPC reads a request. It refuses what servers read in different ways: a member that is there twice,
// or a text in another encoding.
func parseRPC(b []byte) (*rpcCall, error) {
	if !utf8.Valid(b) {
		return nil, errRPC
	}
	c := &rpcCall{}
	p := &rpcParser{d: json.NewDecoder(bytes.NewReader(b)), b: b, call: c}
	p.d.UseNumber()
	if err := p.object("", p.top); err != nil {
		return nil, err
	}
	if _, err := p.d.Token(); !errors.Is(err, io.EOF) {
		return nil, errRPC
	}
	return c, nil
}

// rpcParser reads the members of a request that matter.
type rpcParser struct {
	d    *json.Decoder
	b    []byte
	call *rpcCall
}

// object reads an object, and calls member for the value of each member.
func (p *rpcParser) object(path string, member func(path string) error) error {
	t, err := p.d.Token()
	if err != nil || t != json.Delim('{') {
		return errRPC
	}
	seen := map[string]bool{}
	for p.d.More() {
		t, err := p.d.Token()
		name, ok := t.(string)
		if err != nil || !ok || seen[strings.ToLower(name)] || len(seen) > 1000 {
			return errRPC
		}
		seen[strings.ToLower(name)] = true
		if err := member(path + "/" + name); err != nil {
			return err
		}
	}
	if _, err := p.d.Token(); err != nil {
		return errRPC
	}
	return nil
}

func (p *rpcParser) top(path string) error {
	c := p.call
	switch path {
	case "/params", "/params/ctx", "/params/ctx/securityCtx":
		return p.object(path, p.top)
	case "/id":
		return p.raw(&c.id)
	case "/params/serviceId":
		return p.text(&c.service)
	case "/params/operationId":
		return p.text(&c.operation)
	case "/params/ctx/securityCtx/schemeId":
		return p.text(&c.scheme)
	case "/params/ctx/securityCtx/userName":
		return p.text(&c.user)
	case "/params/ctx/securityCtx/password":
		return p.hidden(&c.password)
	case "/params/ctx/securityCtx/sessionId":
		if err := p.hidden(&c.session); err != nil {
			return err
		}
		to := int(p.d.InputOffset())
		c.at = &span{startOfText(p.b[:to]), to}
		return nil
	}
	var skipped json.RawMessage
	return p.raw(&skipped)
}

// startOfText returns where the JSON text at the end of b begins.
func startOfText(b []byte) int {
	for from := len(b) - 2; from >= 0; from-- {
		if b[from] != '"' {
			continue
		}
		escapes := 0
		for from-escapes > 0 && b[from-escapes-1] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return from
		}
	}
	return 0
}

func (p *rpcParser) raw(into *json.RawMessage) error {
	if err := p.d.Decode(into); err != nil {
		return errRPC
	}
	return nil
}

func (p *rpcParser) text(into *string) error {
	t, err := p.d.Token()
	s, ok := t.(string)
	if err != nil || !ok {
		return errRPC
	}
	*into = s
	return nil
}

func (p *rpcParser) hidden(into *secret.Text) error {
	var s string
	err := p.text(&s)
	*into = secret.New(s)
	return err
}

// serveRPC serves a request of JSON-RPC. Calls of the session service are served by the front.
func (x *exchange) serveRPC() {
	x.rpc = &rpcCall{}
	body, err := x.h.Bodies.Read(x.w, x.r, maxRPC)
	if err != nil {
		x.fail(statusOfBody(err), "The request's body can't be read.")
		return
	}
	defer body.Free()
	c, err := parseRPC(body.Bytes)
	if err != nil {
		x.fail(http.StatusBadRequest, "This is not a request of JSON-RPC with one call.")
		return
	}
	x.rpc = c
	switch {
	case strings.EqualFold(c.service, sessionService), x.r.Header.Get("Vapi-Service") != "":
		x.serveSession()
		return
	case refusesCall(c.service):
		x.fail(http.StatusNotFound, "There is no such service.")
		return
	case c.at == nil:
		x.fail(http.StatusUnauthorized, "This call needs a session.")
		return
	}
	x.call.Token = c.session
	x.call.Note("service", c.service)
	x.call.Note("call", c.operation)
	x.changes = !reads(c.operation)
	x.body, x.whole, x.credential = body, true, c.at
	x.serve()
}

// reads reports whether an operation only reads, by the names that the Automation API uses.
func reads(operation string) bool {
	for _, prefix := range []string{"get", "list", "find", "query", "search", "validate"} {
		if strings.HasPrefix(operation, prefix) {
			return true
		}
	}
	return false
}

// serveSession serves a call of the session service, by the session resource of the front.
func (x *exchange) serveSession() {
	c := x.rpc
	if c.service != sessionService {
		x.fail(http.StatusNotImplemented, "The front serves this form of JSON-RPC for no service.")
		return
	}
	r := withPath(x.r, sessionPath)
	r.Header = http.Header{}
	for _, name := range []string{"User-Agent", "Accept-Language"} {
		if v := x.r.Header[name]; v != nil {
			r.Header[name] = v
		}
	}
	r.URL.RawQuery, r.RequestURI, r.Body, r.ContentLength = "", sessionPath, http.NoBody, 0
	switch {
	case c.operation == "create" && c.scheme == byPassword && !strings.Contains(c.user, ":"):
		r.Method = http.MethodPost
		pair := c.user + ":" + c.password.Reveal()
		r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	case c.operation == "create":
		x.fail(http.StatusUnauthorized, "A session is created with a user name and a password here.")
		return
	case c.operation == "get" && c.scheme == bySession:
		r.Method = http.MethodGet
		r.Header.Set("Vmware-Api-Session-Id", c.session.Reveal())
	case c.operation == "delete" && c.scheme == bySession:
		r.Method = http.MethodDelete
		r.Header.Set("Vmware-Api-Session-Id", c.session.Reveal())
	case c.operation == "get", c.operation == "delete":
		x.fail(http.StatusUnauthorized, "This call needs a session.")
		return
	default:
		x.fail(http.StatusNotFound, "There is no such operation.")
		return
	}
	w := &recorder{header: http.Header{}}
	x.h.Sessions.ServeHTTP(w, r)
	x.tellSession(w)
}

// recorder keeps the answer of the session resource, which is short.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *recorder) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

// tellSession answers with the answer of the session resource.
func (x *exchange) tellSession(w *recorder) {
	if after := w.header.Get("Retry-After"); after != "" {
		x.w.Header().Set("Retry-After", after)
	}
	switch {
	case w.status >= http.StatusBadRequest:
		var answer struct{ Messages []message }
		text := http.StatusText(w.status)
		if err := json.Unmarshal(w.body.Bytes(), &answer); err == nil && len(answer.Messages) > 0 {
			text = answer.Messages[0].Default
		}
		x.fail(w.status, text)
	case x.rpc.operation == "create":
		x.rpc.output(x.w, map[string]json.RawMessage{"SECRET": w.body.Bytes()})
	case x.rpc.operation == "get":
		x.rpc.output(x.w, map[string]any{"STRUCTURE": map[string]json.RawMessage{
			sessionService + ".info": w.body.Bytes(),
		}})
	default:
		x.rpc.output(x.w, nil)
	}
}

// output sends the result of a call.
func (c *rpcCall) output(w http.ResponseWriter, v any) { c.respond(w, map[string]any{"output": v}) }

// fail sends an error as the result of a call. The status of HTTP stays 200, as JSON-RPC has it.
func (c *rpcCall) fail(w http.ResponseWriter, status int, text string) {
	m := messagesOf(status, text)[0]
	content := map[string]any{
		"messages": []any{map[string]any{"STRUCTURE": map[string]any{"com.vmware.vapi.std.localizable_message": m}}},
		"data":     map[string]any{"OPTIONAL": nil},
	}
	name := "com.vmware.vapi.std.errors." + strings.ToLower(errorType(status))
	c.respond(w, map[string]any{"error": map[string]any{"ERROR": map[string]any{name: content}}})
}

func (c *rpcCall) respond(w http.ResponseWriter, result any) {
	id := c.id
	if id == nil {
		id = json.RawMessage("null")
	}
	sendJSON(w, http.MethodPost, http.StatusOK, map[string]any{"jsonrpc": "2.0", "id": id, "result": result})
}
