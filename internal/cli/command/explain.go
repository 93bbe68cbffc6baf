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

// Exit codes of the program. ExitCodes explains them to the user.
const (
	exitGeneral      = 1
	exitUsage        = 2
	exitLogin        = 3
	ExitNoPermission = 4
	ExitNotFound     = 5
	ExitUnavailable  = 6
)

// WithExitCode returns an error that ends the program with the given exit code. Commands use it if
// the user asked for a result as the exit code.
func WithExitCode(err error, code int) error { return exitError{err, code} }

// exitError is an error with an exit code of its own.
type exitError struct {
	error
	code int
}

func (e exitError) Unwrap() error { return e.error }

// Mistaken returns an error that ends the program with the exit code of wrong usage. If err joins
// several errors, the program prints each on a line of its own.
func Mistaken(err error) error { return mistaken{err} }

type mistaken struct{ error }

// Mistakes returns the errors that the program must print, each on a line of its own.
func Mistakes(err error) []error {
	m, ok := errors.AsType[mistaken](err)
	if !ok {
		return []error{err}
	}
	joined := []error{m.error}
	if several, ok := m.error.(interface{ Unwrap() []error }); ok {
		joined = several.Unwrap()
	}
	var all []error // the joined error owns its slice
	for _, e := range joined {
		all = append(all, WithExitCode(e, exitUsage))
	}
	return all
}

// rule maps a kind of fault to an exit code and to a hint for the user.
type rule struct {
	applies func(error) bool
	code    int
	hint    string
}

// rules are tried in order. Subtypes of a fault come before their supertypes. The fault of a failed
// renewal comes before the NotAuthenticated that caused the renewal.
var rules = []rule{
	{isImpersonation, exitLogin, "the user must have a live session"},
	{IsFault[*types.NoClientCertificate], exitLogin, "pass the extension's certificate with --cert and --key"},
	{IsFault[*types.SSPIChallenge], exitLogin, "the server expects another SSPI token"},
	{IsFault[types.BaseInvalidLogin], exitLogin, "check the user name and the password, ticket or token"},
	{IsFault[*types.NotAuthenticated], exitLogin, "run 'vigate login', or set VIGATE_USERNAME and VIGATE_PASSWORD"},
	{IsFault[types.BaseNoPermission], ExitNoPermission, ""},
	{IsFault[*types.ManagedObjectNotFound], ExitNotFound, ""},
	{IsFault[*types.NotFound], ExitNotFound, ""},
	{IsFault[*types.UserNotFound], ExitNotFound, ""},
	{IsFault[*types.InvalidName], ExitNotFound, ""},
	{IsFault[*types.InvalidLocale], exitGeneral, "'vigate session locales' lists the locales"},
	{IsFault[types.BaseMethodFault], exitGeneral, ""},
}

func isImpersonation(err error) bool {
	fault, ok := errors.AsType[*client.FaultError](err)
	return ok && strings.HasSuffix(fault.Operation, ".ImpersonateUser") && IsFault[types.BaseInvalidLogin](err)
}

// Explain returns a one-line text for the error, with a hint what to do about it, and the exit
// code.
func Explain(err error) (string, int) {
	if text, code, ok := explainItems(err); ok {
		return text, code
	}
	if exit, ok := errors.AsType[exitError](err); ok {
		return exit.Error(), exit.code
	}
	if mistake, ok := errors.AsType[usageError](err); ok {
		return mistake.Error(), exitUsage
	}
	if errors.Is(err, errNotLoggedIn) {
		return err.Error() + "; run 'vigate login', or set VIGATE_USERNAME and VIGATE_PASSWORD", exitLogin
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

// explainItems explains an error of a command that handles several arguments. The text names each
// argument that failed. The exit code is the code of the first.
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
				text = strings.TrimSuffix(text, ".") + "; " + r.hint
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

// allOf returns all errors of type E in an error. It does not look into an HTTPError, such as a
// 503, because its status matters more than its body.
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

// explainServer explains an error of the connection to the server.
func explainServer(err serverError) (string, int) {
	if errors.Is(err, client.ErrNoVIJSON) {
		return fmt.Sprintf("%s has no VI JSON API, or not of this release; vCenter has it from 8.0 U1 on, ESXi has "+
			"none; for other servers, use the URL of a front of vigate, which serves VI JSON for each vCenter and "+
			"ESXi host behind it", err.url), exitGeneral
	}
	if status, ok := errors.AsType[*client.HTTPError](err); ok {
		return explainStatus(err.url, status)
	}
	if cert, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return explainCertificate(err.url, cert), ExitUnavailable
	}
	if errors.Is(err, client.ErrThumbprint) {
		return fmt.Sprintf("the certificate of %s is not the one with the given thumbprint; either it was replaced, "+
			"or this is another server", err.url), ExitUnavailable
	}
	if errors.Is(err, context.Canceled) {
		return "interrupted", exitGeneral
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return fmt.Sprintf("no response from %s in time; try again, or use a longer --timeout", err.url),
			ExitUnavailable
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok ||
		strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		return fmt.Sprintf("%s does not speak TLS; check the port, or use http://", err.url), ExitUnavailable
	}
	if isConnection(err) {
		return fmt.Sprintf("can't reach %s: %v; check --url and whether the server is running", err.url, cause(err)),
			ExitUnavailable
	}
	return err.Error(), exitGeneral
}

func isConnection(err error) bool {
	_, isOp := errors.AsType[*net.OpError](err)
	_, isDNS := errors.AsType[*net.DNSError](err)
	_, isAlert := errors.AsType[tls.AlertError](err)
	return isOp || isDNS || isAlert
}

// cause returns the error of the network layer.
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
	text := fmt.Sprintf("%s answered %s with %d %s", url, status.Operation, status.StatusCode,
		http.StatusText(status.StatusCode))
	if status.Message != "" {
		text += ": " + strings.TrimSuffix(status.Message, ".")
	}
	switch status.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		if status.RetryAfter > 0 {
			text += "; try again in " + status.RetryAfter.Round(time.Second).String()
		}
		return text, ExitUnavailable
	}
	return text, exitGeneral
}

func explainCertificate(url string, err *tls.CertificateVerificationError) string {
	text := fmt.Sprintf("the certificate of %s is not trusted: %v", url, err.Err)
	if len(err.UnverifiedCertificates) > 0 {
		text += fmt.Sprintf("; its SHA-256 thumbprint is %s; if that is the right server, use --thumbprint with this "+
			"value; otherwise use --ca with the certificate of its authority, or --insecure to skip the check",
			thumbprint(err.UnverifiedCertificates[0].Raw))
	}
	return text
}

func thumbprint(certificate []byte) string {
	return strings.ReplaceAll(fmt.Sprintf("% X", sha256.Sum256(certificate)), " ", ":")
}

// NotFound returns an error with the exit code "not found". Commands use it if the server reports a
// missing object by an unset result.
func NotFound(format string, args ...any) error {
	return exitError{fmt.Errorf(format, args...), ExitNotFound}
}

// Each calls do for each of the command's arguments. It goes on after a failure and returns all
// errors.
func (r *Run) Each(do func(name string) error) error {
	var failed []error
	for _, name := range r.Args {
		if err := do(name); err != nil {
			failed = append(failed, itemError{name, err})
		}
	}
	return errors.Join(failed...)
}

// itemError is an error about one of several arguments.
type itemError struct {
	item string
	error
}

func (e itemError) Unwrap() error { return e.error }
