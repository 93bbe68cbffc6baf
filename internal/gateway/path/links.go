package path

import (
	"io"
	"net/url"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/gateway"
	"github.com/vigate/vigate/internal/gateway/link"
	"github.com/vigate/vigate/internal/vim"
)

// rewriters are what rewrites URLs for the clients that know the front by one name.
type rewriters struct {
	front               url.URL
	toFront, toUpstream *link.Rewriter
}

// links returns what rewrites the URLs of an answer to a call, and of its request. They have the name by
// which the client knows the front. Those of the last name are kept: nearly all clients use the same.
func (h *Handler) links(c *vim.Call) (toFront, toUpstream *link.Rewriter) {
	front := *frontOf(c)
	last := h.last.Load()
	if last == nil || last.front != front {
		last = &rewriters{front: front}
		last.toFront, last.toUpstream = h.newLinks(&front)
		h.last.Store(last)
	}
	return last.toFront, last.toUpstream
}

func (h *Handler) newLinks(front *url.URL) (toFront, toUpstream *link.Rewriter) {
	u := h.Upstream.URL()
	upstream := &url.URL{Scheme: u.Scheme, Host: u.Host}
	if !binding.PlainHost(front.Host) {
		return link.New(nil, front, h.Serves), link.New(nil, upstream, h.Serves)
	}
	fill := &url.URL{Scheme: u.Scheme, Host: "*"}
	return link.New([]*url.URL{upstream, fill}, front, h.Serves), link.New([]*url.URL{front}, upstream, h.Serves)
}

// frontOf returns the URL of the front, as the client of a call knows it.
func frontOf(c *vim.Call) *url.URL {
	front := &url.URL{Scheme: "http", Host: c.HTTP.Host}
	if c.Peer != nil {
		front.Scheme = c.Peer.Scheme()
	}
	return front
}

// Address returns the URL of the front, as the client of a call knows it, or nil if that is not clear.
func (h *Handler) Address(c *vim.Call) *url.URL {
	front := frontOf(c)
	if !binding.PlainHost(front.Host) || front.Hostname() == "" {
		return nil
	}
	return front
}

// Answer makes the URLs of the upstream in an answer those of the front. With Text and Request the handler
// implements gateway.Links, for calls that it does not serve itself.
func (h *Handler) Answer(c *vim.Call, r io.Reader) io.Reader {
	toFront, _ := h.links(c)
	return toFront.Reader(r)
}

// Text does the same for a whole text.
func (h *Handler) Text(c *vim.Call, b []byte) []byte {
	toFront, _ := h.links(c)
	return toFront.Bytes(b)
}

// Request makes the URLs of the front in a request those of the upstream.
func (h *Handler) Request(c *vim.Call, b []byte) []byte {
	_, toUpstream := h.links(c)
	return toUpstream.Bytes(b)
}

var _ gateway.Links = (*Handler)(nil)
