package wire

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

const (
	envelope = `<?xml version="1.0" encoding="UTF-8"?>` +
		`<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:vim25">` +
		`<soapenv:Body>%s</soapenv:Body></soapenv:Envelope>`
	this = `<_this type="SessionManager">SessionManager</_this>`
)

var cookie = regexp.MustCompile(`vmware_soap_session="([0-9a-f]{40})"`)

// soap makes a call. body is the element of the request.
func (c *Client) soap(ctx context.Context, addr, token, body string) reply {
	head := map[string]string{"Content-Type": "text/xml; charset=utf-8", "SOAPAction": "urn:vim25/9.1.0.0"}
	if token != "" {
		head["Cookie"] = `vmware_soap_session="` + token + `"`
	}
	return c.do(ctx, http.MethodPost, "http://"+addr+"/sdk", head, fmt.Sprintf(envelope, body))
}

// judgeSOAP is judge for SOAP. Over SOAP, the detail names the fault.
func (r reply) judgeSOAP() Answer {
	for _, fault := range []string{"NotAuthenticatedFault", "InvalidLoginFault", "NotFoundFault"} {
		if r.err == nil && r.status == http.StatusInternalServerError && bytes.Contains(r.body, []byte("<"+fault)) {
			return Answer{Outcome: Refused}
		}
	}
	return r.judge()
}

// sessionSOAP reads the UserSession in the answer. ok is false if there is none.
func (r reply) sessionSOAP() (Session, bool) {
	var e struct {
		Body struct {
			Answer struct {
				Return struct {
					Key  string `xml:"key"`
					User string `xml:"userName"`
				} `xml:"returnval"`
			} `xml:",any"`
		}
	}
	if xml.Unmarshal(r.body, &e) != nil {
		return Session{}, false
	}
	u := e.Body.Answer.Return
	return Session{Key: u.Key, User: u.User}, u.Key != ""
}

func (c *Client) soapLogin(ctx context.Context, addr, name, password string) Answer {
	var user, secret strings.Builder
	_ = xml.EscapeText(&user, []byte(name)) // a Builder never returns an error
	_ = xml.EscapeText(&secret, []byte(password))
	r := c.soap(ctx, addr, "", `<Login>`+this+`<userName>`+user.String()+`</userName>`+
		`<password>`+secret.String()+`</password></Login>`)
	if r.status != http.StatusOK {
		return r.judgeSOAP()
	}
	s, ok := r.sessionSOAP()
	token := cookie.FindStringSubmatch(r.header.Get("Set-Cookie"))
	if !ok || token == nil {
		return Answer{Outcome: Strange, Detail: "an answer to a login without a session or without its cookie"}
	}
	s.Token = token[1]
	return Answer{Outcome: Done, Session: s}
}

func (c *Client) soapCurrent(ctx context.Context, addr, token string) Answer {
	r := c.soap(ctx, addr, token, `<Fetch>`+this+`<prop>currentSession</prop></Fetch>`)
	if r.status != http.StatusOK {
		return r.judgeSOAP()
	}
	if s, ok := r.sessionSOAP(); ok {
		return Answer{Outcome: Done, Session: s}
	}
	if bytes.Contains(r.body, []byte("FetchResponse")) {
		return Answer{Outcome: Refused}
	}
	return Answer{Outcome: Strange, Detail: fmt.Sprintf("%.300s", r.body)}
}

func (c *Client) soapLogout(ctx context.Context, addr, token string) Answer {
	r := c.soap(ctx, addr, token, `<Logout>`+this+`</Logout>`)
	if r.status == http.StatusOK {
		return Answer{Outcome: Done}
	}
	return r.judgeSOAP()
}
