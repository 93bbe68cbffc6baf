package path

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
)

// way is how the requests below a prefix are passed on.
type way int

const (
	refused    way = iota
	open           // without credentials, and unchanged where signatures could break
	document       // one document for everybody, from a cache
	data           // with the session; bodies are files
	messages       // with the session; bodies are SOAP or JSON
	automation     // with the session of the Automation API; bodies are JSON
	tunnel         // with the session; a WebSocket, or a file
)

// service is a prefix of paths, and how they are passed on.
type service struct {
	prefix string
	way    way
	// sealed services answer with signatures over their content, or get such requests: nothing in these
	// is changed.
	sealed bool
	// soap services speak nothing but SOAP: a request that is no message does not pass, whatever it says that it
	// is, because a careless server could read it all the same. Other messages may be anything.
	soap bool
	// configured services are those of the key "paths". What they speak is not known.
	configured bool
}

// known are the services of vCenter and ESXi.
var known = []service{
	{prefix: "/folder", way: data},
	{prefix: "/nfc", way: data},
	{prefix: "/guestFile", way: data},
	{prefix: "/cls", way: messages},
	{prefix: "/cls/data", way: data},
	{prefix: "/pbm", way: messages, soap: true},
	{prefix: "/sms", way: messages, soap: true},
	{prefix: "/vsanHealth", way: messages, soap: true},
	{prefix: "/eam", way: messages, soap: true},
	{prefix: "/vslm", way: messages, soap: true},
	{prefix: "/sdk/vimServiceVersions.xml", way: document},
	{prefix: "/sdk/vsanServiceVersions.xml", way: document},
	{prefix: "/api", way: automation},
	{prefix: "/rest", way: automation},
	{prefix: "/rest/com/vmware/cis/data", way: data},
	{prefix: "/ticket", way: tunnel},
	{prefix: "/lookupservice", way: open},
	{prefix: "/sts", way: open, sealed: true},
	{prefix: "/sso-adminserver", way: refused},
	// These make tokens of the account's own identity, which would outlive the client session and its limits.
	{prefix: "/api/vcenter/tokenservice", way: refused},
	{prefix: "/rest/vcenter/tokenservice", way: refused},
	{prefix: "/api/vcenter/authentication", way: refused},
	{prefix: "/rest/vcenter/authentication", way: refused},
	{prefix: "/rest/com/vmware/vcenter/tokenservice", way: refused},
	{prefix: "/rest/com/vmware/vcenter/authentication", way: refused},
}

// refusedCalls begin the names of the services of JSON-RPC that are refused, for the same reason.
var refusedCalls = []string{"com.vmware.vcenter.tokenservice", "com.vmware.vcenter.authentication"}

// refusesCall reports whether a service of JSON-RPC is refused, however its name is written.
func refusesCall(service string) bool {
	service = strings.ToLower(strings.TrimSpace(service))
	return slices.ContainsFunc(refusedCalls, func(s string) bool {
		rest, ok := strings.CutPrefix(service, s)
		return ok && (rest == "" || rest[0] == '.')
	})
}

// isSDK reports whether calls are served at a clean path: at /sdk, and at the names that some clients append to it.
// Deeper paths are those of VI JSON, whose calls name their object and operation in the path. The front serves them
// itself.
func isSDK(path string) bool {
	rest, ok := strings.CutPrefix(path, "/sdk")
	if !ok {
		return false
	}
	name := strings.TrimPrefix(rest, "/")
	plain, err := url.PathUnescape(name)
	return err == nil && (rest == "" || rest != name) && !strings.Contains(plain, "/")
}

// The paths of the session resource of the Automation API, and of its JSON-RPC.
const (
	sessionPath    = "/api/session"
	oldSessionPath = "/rest/com/vmware/cis/session"
	rpcPath        = "/api"
)

// table finds the service of a path.
type table []service

// newTable returns the table of the known services, and of the other prefixes.
func newTable(others []string) table {
	t := slices.Clone(known)
	for _, p := range others {
		p = "/" + strings.Trim(p, "/")
		if p != "/" && !slices.ContainsFunc(t, func(s service) bool { return s.prefix == p }) {
			t = append(t, service{prefix: p, way: messages, configured: true})
		}
	}
	slices.SortStableFunc(t, func(a, b service) int { return cmp.Compare(len(b.prefix), len(a.prefix)) })
	return t
}

// find returns the service of a clean path, or nil. A service that is refused is found under every
// spelling that the upstream might take for it.
func (t table) find(path string) *service {
	plain, _ := url.PathUnescape(path)
	loose := loosely(plain)
	segments := strings.Split(path, "/")
	for i := range t {
		s := &t[i]
		if begins(segments, s.prefix) || s.way == refused && below(loose, strings.ToLower(s.prefix)) {
			return s
		}
	}
	return nil
}

// below reports whether a path is the prefix, or is below it.
func below(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/')
}

// begins reports whether an escaped path begins with the prefix. A slash that is escaped divides nothing.
func begins(segments []string, prefix string) bool {
	for name := range strings.SplitSeq(prefix, "/") {
		if len(segments) == 0 {
			return false
		}
		if first, err := url.PathUnescape(segments[0]); err != nil || first != name {
			return false
		}
		segments = segments[1:]
	}
	return true
}

// loosely returns a decoded path as a careless server might read it: without parameters of segments,
// without a slash at the end, in lower case.
func loosely(path string) string {
	for range 3 {
		again, err := url.PathUnescape(path)
		if err != nil || again == path {
			break
		}
		path = again
	}
	var kept []string
	for segment := range strings.SplitSeq(path, "/") {
		if segment, _, _ = strings.Cut(segment, ";"); segment != "" {
			kept = append(kept, strings.ToLower(segment))
		}
	}
	return "/" + strings.Join(kept, "/")
}

// isSession reports whether a path is that of the session resource, however it is written.
func isSession(path string) (canonical string, ok bool) {
	plain, _ := url.PathUnescape(path)
	switch loosely(plain) {
	case sessionPath:
		return sessionPath, true
	case oldSessionPath:
		return oldSessionPath, true
	}
	return "", false
}
