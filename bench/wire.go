//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/vigate/vigate/bench/load"
)

// Requests as they go over the wire.

const (
	viRoot = "/sdk/vim25/8.0.3.0/"
	sm     = viRoot + "SessionManager/SessionManager/"
	// floorToken is the one that the floor knows.
	floorToken = "0123456789abcdef0123456789abcdef01234567"
)

func request(method, path, headers, body string) []byte {
	return fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\n%s\r\n%s", method, path, headers, body)
}

func tokenHeader(token string) string {
	if token == "" {
		return ""
	}
	return "vmware-api-session-id: " + token + "\r\n"
}

func get(path, token string) []byte { return request("GET", path, tokenHeader(token), "") }

func post(path, token, body string) []byte {
	return request("POST", path, fmt.Sprintf("%sContent-Type: application/json\r\nContent-Length: %d\r\n", tokenHeader(token), len(body)), body)
}

func readSession(token string) []byte { return get(sm+"currentSession", token) }

func loginRequest() []byte {
	return post(sm+"Login", "", fmt.Sprintf(`{"userName":%q,"password":%q}`, adminUser, adminPassword))
}

// soapRequest calls a method with the elements of its body.
func soapRequest(cookie, body string) []byte {
	body = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
		`<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body>` + body + `</Body></Envelope>`
	if cookie != "" {
		cookie = `Cookie: vmware_soap_session="` + cookie + "\"\r\n"
	}
	return request("POST", "/sdk", fmt.Sprintf("%sContent-Type: text/xml; charset=\"utf-8\"\r\nSOAPAction: urn:vim25/8.0.3.0\r\nContent-Length: %d\r\n", cookie, len(body)), body)
}

func soapMethod(cookie, method, args string) []byte {
	return soapRequest(cookie, fmt.Sprintf(`<%s xmlns="urn:vim25"><_this type="SessionManager">SessionManager</_this>%s</%[1]s>`, method, args))
}

// soapProperty reads a property of the session manager as govmomi does.
func soapProperty(cookie, collector, property string) []byte {
	return soapRequest(cookie, `<RetrievePropertiesEx xmlns="urn:vim25"><_this type="PropertyCollector">`+collector+`</_this>`+
		`<specSet><propSet><type>SessionManager</type><pathSet>`+property+`</pathSet></propSet>`+
		`<objectSet><obj type="SessionManager">SessionManager</obj></objectSet></specSet><options></options></RetrievePropertiesEx>`)
}

// collector is the id of the property collector, of both.
const collector = "propertyCollector"

// once sends one request on a connection of its own and keeps the answer.
func once(ctx context.Context, t load.Target, request []byte) (load.Answer, error) {
	c, err := load.Dial(ctx, t)
	if err != nil {
		return load.Answer{}, err
	}
	defer c.Close()
	if err := c.Deadline(time.Now().Add(2 * time.Minute)); err != nil {
		return load.Answer{}, err
	}
	c.Keep = true
	a, err := c.Do(request)
	a.Body = bytes.Clone(a.Body)
	return a, err
}

// login opens a session at vigate over VI JSON and returns its token.
func login(ctx context.Context, s *server) (string, error) {
	a, err := once(ctx, s.target(), loginRequest())
	if err != nil {
		return "", fmt.Errorf("log in to %s: %w", s.name, err)
	}
	if a.Status != http.StatusOK || len(a.Token) == 0 {
		return "", fmt.Errorf("log in to %s: status %d: %.300s", s.name, a.Status, a.Body)
	}
	return string(a.Token), nil
}

func peerLoginRequest() []byte {
	return soapMethod("", "Login", "<userName>bench</userName><password>bench</password>")
}

// peerLogin opens a session at the peer and returns its cookie.
func peerLogin(ctx context.Context, s *server) (string, error) {
	a, err := once(ctx, s.target(), peerLoginRequest())
	if err != nil {
		return "", fmt.Errorf("log in to %s: %w", s.name, err)
	}
	if a.Status != http.StatusOK || len(a.Cookie) == 0 {
		return "", fmt.Errorf("log in to %s: status %d: %.300s", s.name, a.Status, a.Body)
	}
	return string(a.Cookie), nil
}

// servesSOAP reports whether vigate answers reads over SOAP with the session.
func servesSOAP(ctx context.Context, s *server, token string) (bool, error) {
	a, err := once(ctx, s.target(), soapProperty(token, collector, "currentSession"))
	if err != nil {
		return false, err
	}
	return a.Status == http.StatusOK && bytes.Contains(a.Body, []byte("loginTime")), nil
}

// check wants the answer to a request to hold a text: what is measured is what
// it is taken for.
func check(ctx context.Context, t load.Target, request []byte, text string) (int, error) {
	a, err := once(ctx, t, request)
	if err != nil {
		return 0, err
	}
	if a.Status != http.StatusOK || !bytes.Contains(a.Body, []byte(text)) {
		return 0, fmt.Errorf("status %d without %q: %.300s", a.Status, text, a.Body)
	}
	return len(a.Body), nil
}

var errTicket = errors.New("no ticket in the answer")

// soapTicket takes the ticket from the answer to AcquireCloneTicket.
func soapTicket(body []byte) (string, error) {
	_, rest, ok := bytes.Cut(body, []byte("<returnval>"))
	ticket, _, ok2 := bytes.Cut(rest, []byte("</returnval>"))
	if !ok || !ok2 {
		return "", errTicket
	}
	return string(ticket), nil
}

func jsonTicket(body []byte) (string, error) {
	var ticket string
	if err := json.Unmarshal(body, &ticket); err != nil || ticket == "" {
		return "", errTicket
	}
	return ticket, nil
}
