package client

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"time"
	"unicode"

	"github.com/vmware/govmomi/vim25/types"
)

// maxText limits the length of a server's text in an error, in bytes.
const maxText = 2048

// FaultError is an error that holds a fault of the API. Use [As] to get the fault.
type FaultError struct {
	// Operation is the operation that failed, such as "SessionManager.Login".
	Operation string
	// Type is the fault's name in the API, such as "InvalidLogin". It is set even if vim25/types
	// has no such fault.
	Type string
	// Message is the server's text for people, in the session's locale.
	Message string

	fault types.BaseMethodFault
}

// Error returns the operation, the fault's name and the server's text.
func (e *FaultError) Error() string {
	if e.Message == "" {
		return "call " + e.Operation + ": " + e.Type
	}
	return "call " + e.Operation + ": " + e.Type + ": " + e.Message
}

// Fault returns the API's fault as a pointer to a type of vim25/types, or a *types.MethodFault if
// the type is unknown. The functions fault.As and fault.Is of govmomi use this method.
func (e *FaultError) Fault() types.BaseMethodFault { return e.fault }

// As sets target if the fault has target's type or a subtype of it. target is a pointer to a
// pointer to a fault type, or a pointer to an interface that faults implement. The standard
// errors.As calls this method.
func (e *FaultError) As(target any) bool {
	dst := reflect.ValueOf(target)
	if dst.Kind() != reflect.Pointer || dst.IsNil() || e.fault == nil {
		return false
	}
	dst = dst.Elem()
	for v := reflect.ValueOf(e.fault); ; {
		if v.Type().AssignableTo(dst.Type()) {
			dst.Set(v)
			return true
		}
		// A fault type embeds its supertype as its first field.
		v = v.Elem()
		if v.Kind() != reflect.Struct || v.NumField() == 0 || !v.Type().Field(0).Anonymous {
			return false
		}
		v = v.Field(0).Addr()
	}
}

// As finds the first fault of type F, or of a subtype of F, in err. If there is one, As stores it
// in target and returns true. F is a pointer to a fault type or an interface that faults implement.
// For example, *types.NoPermission also matches its subtype NotAuthenticated.
func As[F any](err error, target *F) bool {
	// The standard errors.As panics if target is not an error, so As walks the tree of errors
	// itself.
	if fault, ok := err.(*FaultError); ok {
		return fault.As(target)
	}
	switch wrapper := err.(type) {
	case interface{ Unwrap() error }:
		return As(wrapper.Unwrap(), target)
	case interface{ Unwrap() []error }:
		for _, inner := range wrapper.Unwrap() {
			if As(inner, target) {
				return true
			}
		}
	}
	return false
}

// HTTPError is a response whose status is neither a success nor a fault. If its body holds a fault,
// [As] finds it.
type HTTPError struct {
	// Operation is the operation that failed, such as "SessionManager.Login".
	Operation string
	// StatusCode is the status of the response.
	StatusCode int
	// RetryAfter is how long the server asks clients to wait before they try again. It is zero if
	// the server does not say.
	RetryAfter time.Duration
	// Message is the text of the body, if the body has a form that the client knows. A 503 says in it what is
	// missing, such as the limit of sessions that is reached and how many there are.
	Message string

	fault *FaultError
}

// Error returns the operation, the status and the server's text.
func (e *HTTPError) Error() string {
	s := fmt.Sprintf("call %s: HTTP status %d %s", e.Operation, e.StatusCode, http.StatusText(e.StatusCode))
	if e.Message != "" {
		s += ": " + e.Message
	}
	if e.RetryAfter > 0 {
		s += fmt.Sprintf(" (retry after %s)", e.RetryAfter)
	}
	return s
}

// Unwrap returns the fault in the body, or nil.
func (e *HTTPError) Unwrap() error {
	if e.fault == nil {
		return nil
	}
	return e.fault
}

func isNotAuthenticated(err error) bool {
	var fault *types.NotAuthenticated
	return As(err, &fault)
}

// decodeFault returns the fault in the body, or nil if the body holds none.
func decodeFault(body []byte) *FaultError {
	if _, err := inspect(body); err != nil {
		return nil
	}
	var head struct {
		Type        string `json:"_typeName"`
		FaultString string `json:"faultstring"`
	}
	if json.Unmarshal(body, &head) != nil || head.Type == "" {
		return nil
	}
	fault := &FaultError{Type: head.Type, Message: head.FaultString}
	known, isKnown := types.TypeFunc()(head.Type)
	switch {
	case !isKnown:
		// A server with a later release may send faults that vim25/types does not have.
		fault.fault = &types.MethodFault{}
	case !reflect.PointerTo(known).Implements(reflect.TypeFor[types.BaseMethodFault]()):
		return nil
	case decode(body, &fault.fault) != nil || fault.fault == nil:
		// The fault's type matters more than a field that can't be decoded.
		fault.fault, _ = reflect.New(known).Interface().(types.BaseMethodFault)
	}
	if fault.Message == "" {
		if m := fault.fault.GetMethodFault(); m != nil && len(m.FaultMessage) > 0 {
			fault.Message = m.FaultMessage[0].Message
		}
	}
	return fault
}

// decodeMessage returns the text of an error response without a fault, in the forms of vigate and of the
// Automation API, or "".
func decodeMessage(body []byte) string {
	var e struct {
		FaultString string `json:"faultstring"`
		Type        string `json:"error_type"`
		Messages    []struct {
			Text string `json:"default_message"`
		} `json:"messages"`
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &e) != nil {
		return ""
	}
	if e.FaultString != "" {
		return e.FaultString
	}
	for _, m := range e.Messages {
		if m.Text != "" {
			return m.Text
		}
	}
	if e.Message != "" {
		return e.Message
	}
	return e.Type
}

// cleanText shortens a server's text, puts it on one line and removes the secrets of the call.
func cleanText(s string, secrets []string) string {
	for _, secret := range secrets {
		// Shorter secrets are not removed, because they could match ordinary words and letters.
		if len(secret) >= 4 {
			s = strings.ReplaceAll(s, secret, redacted)
		}
	}
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, s)
}
