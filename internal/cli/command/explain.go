package command

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/client"
)

// The exit codes, which are told in ExitCodes.
const (
	exitGeneral      = 1
	exitUsage        = 2
	exitLogin        = 3
	ExitNoPermission = 4
	ExitNotFound     = 5
	exitUnavailable  = 6
)

// Answer makes an error of a command's own answer, which its caller asked to
// have as the exit code.
func Answer(err error, code int) error { return answerError{err, code} }

// answerError is an answer of the command's own that its caller asked to have as
// the exit code.
type answerError struct {
	error
	code int
}

// rule says what a fault means to the person who called the command.
type rule struct {
	applies func(error) bool
	code    int
	hint    string
}

// rules are looked through in order, so subtypes stand before their supertypes,
// and what a renewed login was answered before what caused it.
var rules = []rule{
	{isImpersonation, exitLogin, "the user needs a live session of its own"},
	{IsFault[*types.NoClientCertificate], exitLogin, "give the extension's certificate by --cert and --key"},
	{IsFault[*types.SSPIChallenge], exitLogin, "the server wants another leg than was given"},
	{IsFault[types.BaseInvalidLogin], exitLogin, "check the user, and the password, ticket or token"},
	{IsFault[*types.NotAuthenticated], exitLogin, "run 'vigate login', or set VIGATE_USERNAME and VIGATE_PASSWORD"},
	{IsFault[types.BaseNoPermission], ExitNoPermission, ""},
	{IsFault[*types.ManagedObjectNotFound], ExitNotFound, ""},
	{IsFault[*types.NotFound], ExitNotFound, ""},
	{IsFault[*types.UserNotFound], ExitNotFound, ""},
	{IsFault[*types.InvalidName], ExitNotFound, ""},
	{IsFault[*types.InvalidLocale], exitGeneral, "'vigate session locales' shows what there is"},
	{IsFault[types.BaseMethodFault], exitGeneral, ""},
}

func isImpersonation(err error) bool {
	fault, ok := errors.AsType[*client.FaultError](err)
	return ok && strings.HasSuffix(fault.Operation, ".ImpersonateUser") && IsFault[types.BaseInvalidLogin](err)
}

// Explain makes one sentence of an error, with what to do about it, and the exit
// code.
func Explain(err error) (string, int) {
	if text, code, ok := explainItems(err); ok {
		return text, code
	}
	if answer, ok := errors.AsType[answerError](err); ok {
		return answer.Error(), answer.code
	}
	if mistake, ok := errors.AsType[usageError](err); ok {
		return mistake.Error(), exitUsage
	}
	if errors.Is(err, errNotLoggedIn) {
		return err.Error() + ": run 'vigate login', or set VIGATE_USERNAME and VIGATE_PASSWORD", exitLogin
	}
	if text, code, ok := explainFault(err); ok {
		return text, code
	}
	server, ok := errors.AsType[serverError](err)
	if !ok {
		return err.Error(), exitGeneral
	}
	return explainServer(server)
}

// explainItems explains the errors about things that were named, each with its
// name. The exit code is that of the first.
func explainItems(err error) (string, int, bool) {
	server, _ := errors.AsType[serverError](err)
	var texts []string
	code := 0
	for _, item := range allOf[itemError](err) {
		text, c := Explain(serverError{item.error, server.url})
		texts = append(texts, item.item+": "+text)
		code = cmp.Or(code, c)
	}
	return strings.Join(texts, "; "), code, len(texts) > 0
}

func explainFault(err error) (string, int, bool) {
	faults := allOf[*client.FaultError](err)
	for _, r := range rules {
		for _, fault := range faults {
			if !r.applies(fault) {
				continue
			}
			text := fault.Operation + ": " + cmp.Or(fault.Message, fault.Type)
			var denied types.BaseNoPermission
			if r.code == ExitNoPermission && client.As(fault, &denied) {
				text += missing(denied.GetNoPermission())
			}
			if r.hint != "" {
				text = strings.TrimSuffix(text, ".") + ": " + r.hint
			}
			return text, r.code, true
		}
	}
	return "", 0, false
}

func missing(denied *types.NoPermission) string {
	var ids []string
	for _, m := range denied.MissingPrivileges {
		ids = append(ids, m.PrivilegeIds...)
	}
	if len(ids) == 0 && denied.PrivilegeId != "" {
		ids = []string{denied.PrivilegeId}
	}
	if len(ids) == 0 {
		return ""
	}
	return " (needs " + strings.Join(ids, ", ") + ")"
}

// allOf returns the errors of that type in an error. It does not look into an
// answer with a status of its own, such as 503, whatever its body is.
func allOf[E error](err error) []E {
	switch e := err.(type) {
	case E:
		return []E{e}
	case *client.HTTPError:
		return nil
	case interface{ Unwrap() error }:
		return allOf[E](e.Unwrap())
	case interface{ Unwrap() []error }:
		var all []E
		for _, inner := range e.Unwrap() {
			all = append(all, allOf[E](inner)...)
		}
		return all
	}
	return nil
}

// explainServer explains what went wrong between here and the server.
func explainServer(err serverError) (string, int) {
	if status, ok := errors.AsType[*client.HTTPError](err); ok {
		return explainStatus(err.url, status)
	}
	if cert, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return explainCertificate(err.url, cert), exitUnavailable
	}
	if errors.Is(err, client.ErrThumbprint) {
		return fmt.Sprintf("the certificate of %s is not the one with the given thumbprint: it was changed, or this is another server", err.url), exitUnavailable
	}
	if errors.Is(err, context.Canceled) {
		return "interrupted", exitGeneral
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return fmt.Sprintf("no answer from %s in time: try again, or give a longer --timeout", err.url), exitUnavailable
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		return fmt.Sprintf("%s does not speak TLS: is the port right, or was http:// meant?", err.url), exitUnavailable
	}
	if isConnection(err) {
		return fmt.Sprintf("can't reach %s: %v: check --url, and whether the server runs", err.url, cause(err)), exitUnavailable
	}
	return err.Error(), exitGeneral
}

func isConnection(err error) bool {
	_, isOp := errors.AsType[*net.OpError](err)
	_, isDNS := errors.AsType[*net.DNSError](err)
	_, isAlert := errors.AsType[tls.AlertError](err)
	return isOp || isDNS || isAlert
}

// cause returns the network's own words.
func cause(err error) error {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dns
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op
	}
	return err
}

func explainStatus(url string, status *client.HTTPError) (string, int) {
	text := fmt.Sprintf("%s answered %s with %d %s", url, status.Operation, status.StatusCode, http.StatusText(status.StatusCode))
	if status.Message != "" {
		text += ": " + status.Message
	}
	switch status.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		if status.RetryAfter > 0 {
			text += ": try again in " + status.RetryAfter.Round(time.Second).String()
		}
		return text, exitUnavailable
	}
	return text, exitGeneral
}

func explainCertificate(url string, err *tls.CertificateVerificationError) string {
	text := fmt.Sprintf("the certificate of %s is not trusted: %v", url, err.Err)
	if len(err.UnverifiedCertificates) > 0 {
		text += fmt.Sprintf("; its SHA-256 thumbprint is %s: if that is the server's, give it by --thumbprint (else its authority by --ca, or --insecure for no check at all)",
			thumbprint(err.UnverifiedCertificates[0].Raw))
	}
	return text
}

func thumbprint(certificate []byte) string {
	return strings.ReplaceAll(fmt.Sprintf("% X", sha256.Sum256(certificate)), " ", ":")
}

// NotFound is the answer where the server says by an unset result that there is
// no such thing.
func NotFound(format string, args ...any) error {
	return answerError{fmt.Errorf(format, args...), ExitNotFound}
}

// Each does the same to all that the arguments name, also where some fail.
func (r *Run) Each(do func(name string) error) error {
	var failed []error
	for _, name := range r.Args {
		if err := do(name); err != nil {
			failed = append(failed, itemError{name, err})
		}
	}
	return errors.Join(failed...)
}

// itemError is an error about one of several things that were named.
type itemError struct {
	item string
	error
}

func (e itemError) Unwrap() error { return e.error }
