package wsdl

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/peer"
)

// folders are those in which the files are served. vCenter has them in the first.
var folders = []string{"/sdk/", "/sdk/vim25/"}

// nameAt has the names of the files by their paths.
var nameAt = func() map[string]string {
	all := map[string]string{}
	for _, folder := range folders {
		for _, name := range append(Names(), serviceFile) {
			all[folder+name] = name
		}
	}
	return all
}()

// Paths returns the paths of all files.
func Paths() []string { return slices.Collect(maps.Keys(nameAt)) }

// ErrNoFile means that there is no file for a request.
var ErrNoFile = errors.New("a message is sent with POST") // vCenter says so with 404

// Serve serves a GET or HEAD for a file of the documents that describe returns, which is called for each request.
// The error is ErrNoFile or that of describe; nothing is sent then. All requests share the memory of a file,
// because anybody may ask for it, and read it slowly.
func Serve(w http.ResponseWriter, r *http.Request, describe func() (*Documents, error)) error {
	name := nameAt[r.URL.Path]
	if r.URL.Path != "/sdk" && asksForService(r.URL) { // a file beside /sdk would not find the others
		name = serviceFile
	}
	switch name {
	case "":
		return ErrNoFile
	case serviceFile:
		send(w, r, Service(address(r)))
		return nil
	}
	d, err := describe()
	if err != nil {
		return err
	}
	send(w, r, d.File(name))
	return nil
}

// asksForService reports whether a query is ?wsdl, in upper or lower case.
func asksForService(u *url.URL) bool {
	key, _, _ := strings.Cut(u.RawQuery, "=")
	return strings.EqualFold(key, "wsdl")
}

// address returns the URL for the messages of a client, with the host name that the client has used. vCenter always
// writes localhost there.
func address(r *http.Request) string {
	host := r.Host
	if !binding.PlainHost(host) {
		host = "localhost"
	}
	return peer.From(r.Context()).Scheme() + "://" + host + "/sdk/vimService"
}

// Values of headers, which must not be changed.
var (
	contentXML = []string{"text/xml; charset=utf-8"}
	revalidate = []string{"private, no-cache"} // a copy may be kept, but not used without asking
	varies     = []string{"Accept-Encoding"}
	compressed = []string{"gzip"}
)

// send sends a file, compressed if the client knows that.
func send(w http.ResponseWriter, r *http.Request, file *File) {
	h, body, tag := w.Header(), file.Plain, `"`+file.Sum+`"`
	zip := file.Compressed != nil && acceptsGzip(r.Header)
	if zip {
		body, tag = file.Compressed, `"`+file.Sum+`-gzip"`
	}
	h["Cache-Control"], h["Vary"], h["Etag"] = revalidate, varies, []string{tag}
	if matches(r.Header["If-None-Match"], tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if zip {
		h["Content-Encoding"] = compressed
	}
	binding.Send(w, r.Method, http.StatusOK, contentXML, body)
}

// acceptsGzip reports whether a client accepts gzip (RFC 9110, section 12.5.3).
func acceptsGzip(h http.Header) bool {
	for _, line := range h["Accept-Encoding"] {
		for part := range strings.SplitSeq(line, ",") {
			coding, quality, _ := strings.Cut(part, ";")
			if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
				_, q, weighted := strings.Cut(quality, "=")
				return !weighted || strings.Trim(q, " 0.") != ""
			}
		}
	}
	return false
}

// matches reports whether a client has the content with the tag already.
func matches(lines []string, tag string) bool {
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ",") {
			if part = strings.TrimSpace(part); part == "*" || strings.TrimPrefix(part, "W/") == tag {
				return true
			}
		}
	}
	return false
}
