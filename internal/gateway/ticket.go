package gateway

import (
	"strings"

	"github.com/vigate/vigate/internal/gateway/answer"
)

// Thumbprint implements answer.Client. A URL of a transfer that leads to the upstream is made one of the front, and a
// client that trusts certificates by thumbprints would compare that of the front with the upstream's.
func (p *passage) Thumbprint(text string) string {
	content, err := p.Upstream.Content(p.admission.Context)
	if err != nil || content.Certificate == nil || !strings.EqualFold(text, answer.Thumbprint(content.Certificate)) {
		return text
	}
	return p.ownThumbprint()
}

// ownThumbprint returns the thumbprint of the certificate that the client of the call has seen, or "" if that is not
// the front's. The client then trusts the certificates that it trusted before.
func (p *passage) ownThumbprint() string {
	if p.Front.Thumbprint == nil || p.call.VIM.Peer == nil || !p.call.VIM.Peer.TLS {
		return ""
	}
	return p.Front.Thumbprint()
}

// ticket makes the answer to a method that returns a ticket lead to the front.
func (p *passage) ticket(raw []byte) []byte {
	if p.Links != nil {
		if front := p.Links.Address(p.call.VIM); front != nil {
			return answer.Ticket(raw, p.Upstream.URL(), front, p.ownThumbprint())
		}
	}
	return raw
}
