// Package wire builds the HTTP requests of both bindings as bytes. It also finds the tickets in
// responses that later requests need.
package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

const (
	// Root is the root path of VI JSON.
	Root = "/sdk/vim25/8.0.3.0/"
	// SessionManager is the path prefix of the session manager's calls.
	SessionManager = Root + "SessionManager/SessionManager/"
)

func request(method, path, headers, body string) []byte {
	return fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\n%s\r\n%s", method, path,
		headers, body)
}

func tokenHeader(token string) string {
	if token == "" {
		return ""
	}
	return "vmware-api-session-id: " + token + "\r\n"
}

// Get returns a request that reads a property.
func Get(path, token string) []byte { return request("GET", path, tokenHeader(token), "") }

// Post returns a request that calls a method.
func Post(path, token, body string) []byte {
	return request("POST", path, fmt.Sprintf("%sContent-Type: application/json\r\nContent-Length: %d\r\n",
		tokenHeader(token), len(body)), body)
}

// SOAP returns a request with the elements of its body.
func SOAP(cookie, body string) []byte {
	body = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
		`<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body>` + body + `</Body></Envelope>`
	if cookie != "" {
		cookie = `Cookie: vmware_soap_session="` + cookie + "\"\r\n"
	}
	headers := cookie + "Content-Type: text/xml; charset=\"utf-8\"\r\nSOAPAction: urn:vim25/8.0.3.0\r\n"
	return request("POST", "/sdk", headers+fmt.Sprintf("Content-Length: %d\r\n", len(body)), body)
}

// SOAPMethod returns a request that calls a method of the session manager.
func SOAPMethod(cookie, method, args string) []byte {
	return SOAP(cookie, fmt.Sprintf(
		`<%s xmlns="urn:vim25"><_this type="SessionManager">SessionManager</_this>%s</%[1]s>`, method, args))
}

// SOAPProperty returns a request that reads a property of the session manager in the way of
// govmomi.
func SOAPProperty(cookie, property string) []byte {
	return SOAP(cookie, `<RetrievePropertiesEx xmlns="urn:vim25"><_this type="PropertyCollector">`+collector+`</_this>`+
		`<specSet><propSet><type>SessionManager</type><pathSet>`+property+`</pathSet></propSet>`+
		`<objectSet><obj type="SessionManager">SessionManager</obj></objectSet></specSet>`+
		`<options></options></RetrievePropertiesEx>`)
}

// collector is the id of the property collector of both servers.
const collector = "propertyCollector"

var errTicket = errors.New("no ticket in the response")

// SOAPTicket returns the ticket in a response to AcquireCloneTicket.
func SOAPTicket(body []byte) (string, error) {
	_, rest, ok := bytes.Cut(body, []byte("<returnval>"))
	ticket, _, ok2 := bytes.Cut(rest, []byte("</returnval>"))
	if !ok || !ok2 {
		return "", errTicket
	}
	return string(ticket), nil
}

// JSONTicket returns the ticket in a response to AcquireCloneTicket.
func JSONTicket(body []byte) (string, error) {
	var ticket string
	if err := json.Unmarshal(body, &ticket); err != nil || ticket == "" {
		return "", errTicket
	}
	return ticket, nil
}
