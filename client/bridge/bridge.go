// Package bridge lets a program use one session with package client and with govmomi, in both directions. So a
// program of govmomi's types, such as its finder, its property collector and its object wrappers, can take its
// session from a client, and the reverse.
//
// [Vim25] makes govmomi's client of a client, and [FromVim25] a client of govmomi's. No function logs in: the
// session is the one that the given client has. A logout through either client ends it for both.
package bridge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/soap"

	"github.com/vigate/vigate/client"
)

// Vim25 returns a client of govmomi that uses the session of c, over SOAP. It checks the server's certificate as c
// does. Its requests have the token that c has at that moment. So both stay on one session also when c logs in
// again (see [client.Config].Login), and when the program logs in through govmomi: c then has the new session.
//
// A client that govmomi makes from the result, for example for another service, keeps the session that was current
// when it was made. Closing c does not close the result.
func Vim25(ctx context.Context, c *client.Client) (*vim25.Client, error) {
	u, err := url.Parse(c.URL())
	if err != nil {
		return nil, fmt.Errorf("make govmomi's client: %w", err)
	}
	at := *u
	u.Path = vim25.Path
	sc := soap.NewClient(u, false)
	if t, ok := c.Transport().(*http.Transport); ok {
		trust(sc.DefaultTransport(), t)
	} else {
		sc.Client.Transport = c.Transport()
	}
	sc.Client.Jar = jar{c, at.Scheme, at.Host}
	vc, err := vim25.NewClient(ctx, sc)
	if err != nil {
		return nil, fmt.Errorf("make govmomi's client: %w", err)
	}
	return vc, nil
}

// trust makes the transport to connect as from does, to the same servers and with the same checks.
func trust(to, from *http.Transport) {
	to.Proxy, to.DialContext, to.DialTLSContext = from.Proxy, from.DialContext, from.DialTLSContext
	if to.TLSClientConfig = from.TLSClientConfig.Clone(); to.TLSClientConfig != nil {
		to.TLSClientConfig.NextProtos = nil // the versions that from can use
	}
}

// jar is the cookies of a client of govmomi: the one cookie of the session that the client c has.
type jar struct {
	c            *client.Client
	scheme, host string // of the server; no other one gets the token, and nobody without TLS if the server has it
}

func (j jar) isOf(u *url.URL) bool { return u.Scheme == j.scheme && u.Host == j.host }

// Cookies implements http.CookieJar.
func (j jar) Cookies(u *url.URL) []*http.Cookie {
	token := j.c.Token()
	if !j.isOf(u) || token.IsZero() {
		return nil
	}
	return []*http.Cookie{{Name: soap.SessionCookieName, Value: token.Reveal()}}
}

// SetCookies implements http.CookieJar. The server sets the cookie when somebody has logged in.
func (j jar) SetCookies(u *url.URL, cookies []*http.Cookie) {
	for _, cookie := range cookies {
		if cookie.Name == soap.SessionCookieName && cookie.Value != "" && j.isOf(u) {
			j.c.SetToken(client.NewToken(unquoted(cookie.Value)))
		}
	}
}

// unquoted returns the value of a cookie without the quotes that are part of it on some servers.
func unquoted(value string) string { return strings.Trim(value, `"`) }

// FromVim25 returns a client with the session that vc has at this moment. It is anonymous if vc has none. It
// connects in the same way as vc does.
//
// cfg has the remaining settings of the client. Its URL, TLS and Transport must not be set. If the client logs in
// again (see [client.Config].Login), vc does not get the new session: use [Vim25] for that.
func FromVim25(ctx context.Context, vc *vim25.Client, cfg client.Config) (*client.Client, error) {
	if cfg.URL != "" || cfg.Transport != nil {
		return nil, errors.New("make client of govmomi's: URL and Transport must not be set")
	}
	if vc == nil || vc.Client == nil {
		return nil, errors.New("make client of govmomi's: it has no connection")
	}
	u := vc.URL()
	cfg.URL, cfg.Transport = u.Scheme+"://"+u.Host, vc.Client.Transport
	c, err := client.New(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("make client of govmomi's: %w", err)
	}
	if cookie := vc.SessionCookie(); cookie != nil {
		c.SetToken(client.NewToken(unquoted(cookie.Value)))
	}
	return c, nil
}
