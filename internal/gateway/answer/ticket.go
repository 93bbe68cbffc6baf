package answer

import (
	"crypto/sha1" //nolint:gosec // the API shows certificates by their SHA-1; nothing is decided by it
	"crypto/x509"
	"fmt"
	"net/url"
	"strings"

	"github.com/vigate/vigate/internal/gateway/message"
)

// Thumbprint returns the thumbprint of a certificate as the API shows it.
func Thumbprint(c *x509.Certificate) string {
	sum := sha1.Sum(c.Raw) //nolint:gosec // see the import
	return strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
}

// Ticket returns the answer to a method that returns a ticket for the console of a machine. If the ticket leads to
// the upstream, it leads to the front instead, whose tunnel serves such tickets. A ticket for another host, or for
// another port, is not changed. thumbprint is that of the front's certificate, or "" to leave it out.
func Ticket(raw []byte, upstream, front *url.URL, thumbprint string) []byte {
	members := message.Members(raw)
	if !leadsTo(upstream, members) {
		return raw
	}
	var edits []message.Edit
	for _, m := range members {
		with := ""
		switch m.Name {
		case "host":
			with = front.Hostname()
		case "port":
			with = portOf(front)
		case "sslThumbprint":
			with = thumbprint
		case "certThumbprintList": // it may be left out
		default:
			continue
		}
		place := m.Place
		if with == "" {
			place = m.Element
		}
		edits = append(edits, message.Edit{Place: place, With: with})
	}
	changed := message.Message{Raw: raw}
	return changed.Append(nil, edits)
}

// leadsTo reports whether a ticket leads to the server. Without a host it leads to the one that was asked.
func leadsTo(server *url.URL, members []message.Member) bool {
	for _, m := range members {
		switch {
		case m.Name == "host" && !strings.EqualFold(strings.TrimSuffix(m.Text, "."), server.Hostname()):
			return false
		case m.Name == "port" && m.Text != portOf(server):
			return false
		}
	}
	return true
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "http":
		return "80"
	}
	return "443"
}
