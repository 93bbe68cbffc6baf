package sts

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/directory"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/saml"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/xmltoken"
)

// The namespaces of WS-Trust and WS-Security.
const (
	nsTrust    = "http://docs.oasis-open.org/ws-sx/ws-trust/200512"
	nsTrust14  = "http://docs.oasis-open.org/ws-sx/ws-trust/200802"
	nsSecurity = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
	nsUtility  = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
	nsEnvelope = "http://schemas.xmlsoap.org/soap/envelope/"
	nsSAML     = "urn:oasis:names:tc:SAML:2.0:assertion"
)

// The codes of faults, as vCenter's service uses them.
const (
	failedAuthentication = "wst:FailedAuthentication"
	invalidRequest       = "wst:InvalidRequest"
	invalidTimeRange     = "wst:InvalidTimeRange"
	unableToRenew        = "wst:UnableToRenew"
	requestFailed        = "wst:RequestFailed"

	invalidSecurity      = "wsse:InvalidSecurity"
	invalidSecurityToken = "wsse:InvalidSecurityToken"
	failedCheck          = "wsse:FailedCheck"
	messageExpired       = "wsse:MessageExpired"
)

// Texts of faults.
const (
	textCredentials = "Invalid credentials"
	textBusy        = "The service is busy. Try again later."
	textUnavailable = "The service can't answer now. Try again later."
	textForeign     = "A browser sent this for a page of another origin."
)

// fault is an error that the client sees: a code and a text. The cause is for the log.
type fault struct {
	code, text string
	cause      error
}

func (f *fault) Error() string {
	if f.cause == nil {
		return f.code + ": " + f.text
	}
	return fmt.Sprintf("%s: %s: %v", f.code, f.text, f.cause)
}

func (f *fault) Unwrap() error { return f.cause }

// failed returns a fault. cause may be nil.
func failed(code, text string, cause error) error { return &fault{code, text, cause} }

// faultOf returns the fault for an error. code is that of a credential which was rejected.
func faultOf(err error, code, text string) *fault {
	if f, ok := errors.AsType[*fault](err); ok {
		return f
	}
	switch {
	case errors.Is(err, login.ErrUnconfirmed):
		return &fault{requestFailed, textUnavailable, err}
	case errors.Is(err, login.ErrRejected), errors.Is(err, session.ErrBadTicket):
		return &fault{code, text, err}
	case errors.Is(err, login.ErrNoAccess):
		return &fault{failedAuthentication, "The user has no role on this server", err}
	case errors.Is(err, login.ErrBusy), errors.Is(err, session.ErrStale):
		return &fault{requestFailed, textBusy, err}
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, directory.ErrUnavailable),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &fault{requestFailed, textUnavailable, err}
	case errors.Is(err, saml.ErrTime):
		return &fault{messageExpired, "The request or its token is not valid at this time", err}
	}
	return &fault{requestFailed, "Internal error", err}
}

// send sends a fault. Clients expect the status 500 and exactly these two elements.
func (f *fault) send(w http.ResponseWriter) {
	b := []byte(`<S:Envelope xmlns:S="` + nsEnvelope + `"><S:Body><S:Fault><faultcode xmlns:wst="` + nsTrust +
		`" xmlns:wsse="` + nsSecurity + `">` + f.code + `</faultcode><faultstring>`)
	b = xmltoken.AppendText(b, f.text)
	b = append(b, `</faultstring></S:Fault></S:Body></S:Envelope>`...)
	binding.Send(w, http.MethodPost, http.StatusInternalServerError, contentXML, b)
}

// contentXML must not be changed.
var contentXML = []string{"text/xml; charset=utf-8"}
