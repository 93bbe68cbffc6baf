package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"

	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vim25/xml"

	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/xmltoken"
)

// maxAnswer is the maximum size of an answer to a call of vigate's own, in bytes.
const maxAnswer = 4 << 20

// Client makes the calls of vigate's own. It implements soap.RoundTripper of govmomi, so that package
// methods of vim25 works with it. The zero Cookie means calls without a session. A Client is not
// changed once it is in use.
type Client struct {
	Transport *Transport
	UserAgent string
	// Version is the version of the API in which the server answers, such as "8.0.3.0". Empty: the
	// oldest that the server has.
	Version string
	Cookie  Cookie
	// Fresh makes each call use a connection of its own. On an idle connection that the server is
	// closing a call can be lost, and nobody knows whether it was done.
	Fresh bool
}

// Cookie is the cookie of a session at the upstream.
type Cookie struct {
	Value secret.Text
	// Quoted is set if the server sent the value in quotes. It then expects them.
	Quoted bool
}

// Set adds the cookie to the header of a request.
func (c Cookie) Set(h http.Header) {
	if c.Value.IsZero() {
		return
	}
	text := c.Value.Reveal()
	if c.Quoted {
		text = `"` + text + `"`
	}
	h.Add("Cookie", soap.SessionCookieName+"="+text)
}

// cookieOf returns the session's cookie of an answer. ok is false if there is none.
func cookieOf(w *http.Response) (c Cookie, ok bool) {
	for _, set := range w.Cookies() {
		if set.Name == soap.SessionCookieName && set.Value != "" {
			value := strings.Trim(set.Value, `"`) // older servers quote it in a way of their own
			return Cookie{Value: secret.New(value), Quoted: set.Quoted || value != set.Value}, true
		}
	}
	return Cookie{}, false
}

// StatusError means that the server answered with another status than the protocol has.
type StatusError struct{ Code int }

func (e *StatusError) Error() string {
	return fmt.Sprintf("the upstream answered HTTP status %d", e.Code)
}

// FaultError is a fault that the upstream answered.
type FaultError struct {
	Fault types.BaseMethodFault // nil if its type is unknown
	Type  string
}

// Error returns only the type: the text of a fault can contain what was sent.
func (e *FaultError) Error() string { return "the upstream answered the fault " + e.Type }

// Fault returns the fault of type T in the error.
func Fault[T types.BaseMethodFault](err error) (T, bool) {
	var none T
	var e *FaultError
	if !errors.As(err, &e) {
		return none, false
	}
	f, ok := e.Fault.(T)
	return f, ok
}

// RoundTrip implements soap.RoundTripper. An error wraps ErrUnreachable if nothing was sent, a
// FaultError, or a StatusError. After any other error the outcome of the call is unknown.
func (c *Client) RoundTrip(ctx context.Context, req, res soap.HasFault) error {
	_, err := c.call(ctx, req, res)
	return err
}

// call sends a request, and returns the response, whose body is read, and the body.
func (c *Client) call(ctx context.Context, req, res soap.HasFault) (*answer, error) {
	b, err := xml.Marshal(soap.Envelope{Body: req})
	if err != nil {
		return nil, fmt.Errorf("encode call: %w", err)
	}
	// net/http sends a POST once more only if nothing was written to the first connection.
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Transport.URL().String(),
		bytes.NewReader(append([]byte(xml.Header), b...)))
	if err != nil {
		return nil, fmt.Errorf("make call: %w", err)
	}
	r.Header.Set("Content-Type", "text/xml; charset=utf-8")
	action := "urn:vim25"
	if c.Version != "" {
		action += "/" + c.Version
	}
	r.Header.Set("SOAPAction", `"`+action+`"`)
	r.Header.Set("User-Agent", c.UserAgent)
	c.Cookie.Set(r.Header)
	w, err := c.Transport.roundTrip(r, c.Fresh)
	if err != nil {
		return nil, err
	}
	defer w.Body.Close()
	body, err := io.ReadAll(io.LimitReader(w.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("read answer: it has more than %d bytes", maxAnswer)
	}
	if w.StatusCode != http.StatusOK && w.StatusCode != http.StatusInternalServerError {
		return nil, &StatusError{w.StatusCode}
	}
	if err := decode(body, res); err != nil {
		var fault *FaultError
		if w.StatusCode != http.StatusOK && !errors.As(err, &fault) {
			return nil, &StatusError{w.StatusCode}
		}
		return nil, err
	}
	if result := reflect.ValueOf(res).Elem().FieldByName("Res"); result.IsValid() && result.IsNil() {
		return nil, errors.New("read answer: it has no result")
	}
	return &answer{response: w, body: body}, nil
}

type answer struct {
	response *http.Response
	body     []byte
}

// decode reads an answer. It returns a FaultError for a fault.
func decode(body []byte, res soap.HasFault) error {
	// The decoder has no limits of its own.
	if err := xmltoken.Check(body, xmltoken.Limits{}); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	d := xml.NewDecoder(bytes.NewReader(body))
	d.TypeFunc = types.TypeFunc()
	if err := d.Decode(&soap.Envelope{Body: res}); err != nil {
		// The error of the decoder can quote the answer, which can contain a key.
		return errors.New("read answer: it is not the answer of the method")
	}
	f := res.Fault()
	if f == nil {
		return nil
	}
	fault := &FaultError{Type: "of an unknown type"}
	if known, ok := f.VimFault().(types.BaseMethodFault); ok {
		fault.Fault, fault.Type = known, strings.TrimPrefix(fmt.Sprintf("%T", known), "*types.")
	} else if known := f.VimFault(); known != nil {
		// Faults are decoded as values, while most interfaces have pointers as receivers.
		fault.Type = strings.TrimPrefix(fmt.Sprintf("%T", known), "types.")
		pointer := reflect.New(reflect.TypeOf(known))
		pointer.Elem().Set(reflect.ValueOf(known))
		fault.Fault, _ = pointer.Interface().(types.BaseMethodFault)
	}
	return fault
}
