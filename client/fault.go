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

// maxText bounds what is taken over of a server's text, in bytes.
const maxText = 2048

// FaultError is a fault of the API. Use [As] to get at the fault itself.
type FaultError struct {
	// Operation that failed, such as "SessionManager.Login".
	Operation string
	// Type is the fault's name in the API, such as "InvalidLogin", even where
	// this package's types don't know it.
	Type string
	// Message is the server's text for people, in the session's locale.
	Message string

	fault types.BaseMethodFault
}

// Error names the operation, the fault and what the server says about it.
func (e *FaultError) Error() string {
	if e.Message == "" {
		return "call " + e.Operation + ": " + e.Type
	}
	return "call " + e.Operation + ": " + e.Type + ": " + e.Message
}

// Fault returns the API's fault, a pointer to a type of vim25/types; a plain
// MethodFault where the type is not known. It is what govmomi's fault.As and
// fault.Is look for.
func (e *FaultError) Fault() types.BaseMethodFault { return e.fault }

// As sets target, a pointer to a fault's pointer or to an interface that a fault
// implements, where the fault is of that type or a subtype of it. It serves the
// standard errors.As.
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
		// A fault type embeds its supertype as the first field.
		v = v.Elem()
		if v.Kind() != reflect.Struct || v.NumField() == 0 || !v.Type().Field(0).Anonymous {
			return false
		}
		v = v.Field(0).Addr()
	}
}

// As sets target to the first fault of type F, or of a subtype of it, in err and
// reports whether there is one. F is a pointer to a fault type, such as
// *types.NoPermission (which NotAuthenticated is a subtype of), or an interface
// that faults implement.
func As[F any](err error, target *F) bool {
	// The standard errors.As panics for a target that is not an error, so its
	// walk is repeated here.
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

// HTTPError is an answer with a status that is neither a success nor a fault.
// Where the body was a fault all the same, [As] finds it.
type HTTPError struct {
	// Operation that failed, such as "SessionManager.Login".
	Operation string
	// StatusCode of the answer.
	StatusCode int
	// RetryAfter is the server's wish to be left alone for so long; zero where
	// it has none.
	RetryAfter time.Duration
	// Message is what the body says, where it is one that is understood.
	Message string

	fault *FaultError
}

// Error names the operation, the status and what the server says about it.
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

// Unwrap returns the fault in the body, if there is one.
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

// decodeFault returns the fault that a body holds, or nil if it holds none.
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
		// A server of a later release has faults that are not known here.
		fault.fault = &types.MethodFault{}
	case !reflect.PointerTo(known).Implements(reflect.TypeFor[types.BaseMethodFault]()):
		return nil
	case decode(body, &fault.fault) != nil || fault.fault == nil:
		// What it is counts more than a field that can't be read.
		fault.fault, _ = reflect.New(known).Interface().(types.BaseMethodFault)
	}
	if fault.Message == "" {
		if m := fault.fault.GetMethodFault(); m != nil && len(m.FaultMessage) > 0 {
			fault.Message = m.FaultMessage[0].Message
		}
	}
	return fault
}

// decodeMessage returns the text in an error body of the Automation API, or "".
func decodeMessage(body []byte) string {
	var e struct {
		Type     string `json:"error_type"`
		Messages []struct {
			Text string `json:"default_message"`
		} `json:"messages"`
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &e) != nil {
		return ""
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

// cleanText makes a server's text fit for an error: short, on one line, and
// without the secrets of the call.
func cleanText(s string, secrets []string) string {
	for _, secret := range secrets {
		// Shorter ones would strike ordinary words and letters.
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
