package client

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// sessionHeader is vmware-api-session-id in the canonical form of net/http.
	sessionHeader = "Vmware-Api-Session-Id"
	// maxFault limits the body of an error response, in bytes.
	maxFault = 1 << 20
	// maxToken limits the length of a session's token, in bytes.
	maxToken = 4096

	firstBackoff = 200 * time.Millisecond
	maxBackoff   = 5 * time.Second
	// maxRetryAfter is the longest Retry-After that a read waits for. If the server asks for more,
	// the caller gets the error at once.
	maxRetryAfter = 30 * time.Second
)

var (
	errNotJSON  = errors.New("response is not application/json")
	errTooLarge = errors.New("response is larger than the limit")
)

// request is one HTTP request of the API. It can be sent several times.
type request struct {
	operation string // for error texts, such as "SessionManager.Login"
	method    string
	url       url.URL
	body      []byte // nil if the request has no body
	read      bool   // a read can be repeated
	login     bool   // the response has the token of a new session
	sign      Signer
	// secrets are removed from the server's texts, in case the server repeats them.
	secrets []string
}

// response is the result of a successful request.
type response struct {
	body  []byte // nil if the response has no value
	token Token
}

// send sends the request. It repeats a read that failed for a reason that may be temporary.
func (c *Client) send(ctx context.Context, q request, token Token) (response, error) {
	backoff := firstBackoff
	for try := 1; ; try++ {
		a, err := c.sendOnce(ctx, q, token)
		if err == nil {
			return a, nil
		}
		if !q.read || try >= c.tries || ctx.Err() != nil {
			return response{}, err
		}
		wait, ok := retryDelay(err, backoff/2+c.jitter(backoff/2))
		if !ok {
			return response{}, err
		}
		if deadline, has := ctx.Deadline(); has && time.Until(deadline) < wait {
			return response{}, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return response{}, err
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// retryDelay reports whether a read that failed with err should be repeated, and after which delay.
func retryDelay(err error, backoff time.Duration) (time.Duration, bool) {
	if status, ok := errors.AsType[*HTTPError](err); ok {
		wait := max(backoff, status.RetryAfter)
		return wait, retryableStatus(status.StatusCode) && wait <= maxRetryAfter
	}
	return backoff, isConnectionError(err)
}

func retryableStatus(status int) bool {
	return status == http.StatusBadGateway || status == http.StatusServiceUnavailable ||
		status == http.StatusGatewayTimeout
}

// isConnectionError reports whether a new connection may succeed although the last one failed with
// err. It is false for an untrusted certificate and for an unknown host. It is also false for a
// timeout, because the caller has already waited as long as it was ready to.
func isConnectionError(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, ErrThumbprint) {
		return false
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return false
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dns.IsTemporary && !dns.IsNotFound
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return false
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return false
	}
	_, isOp := errors.AsType[*net.OpError](err)
	return isOp || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.ECONNREFUSED)
}

func (c *Client) sendOnce(ctx context.Context, q request, token Token) (response, error) {
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	req, err := c.httpRequest(ctx, q, token)
	if err != nil {
		return response{}, fmt.Errorf("call %s: %w", q.operation, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		// url.Error repeats the URL, which adds nothing to the operation's name.
		if ue, ok := errors.AsType[*url.Error](err); ok {
			err = ue.Err
		}
		return response{}, fmt.Errorf("call %s: %w", q.operation, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return response{}, c.failure(resp, q, token)
	}
	a, err := c.success(resp, q)
	if err != nil {
		return response{}, fmt.Errorf("call %s: %w", q.operation, err)
	}
	return a, nil
}

func (c *Client) httpRequest(ctx context.Context, q request, token Token) (*http.Request, error) {
	var body io.Reader
	if q.body != nil {
		body = bytes.NewReader(q.body)
	}
	req, err := http.NewRequestWithContext(ctx, q.method, "", body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.URL, req.Host = &q.url, q.url.Host
	req.Header["User-Agent"] = c.headerAgent
	if q.body != nil {
		req.Header["Content-Type"] = c.headerJSON
	}
	if !token.IsZero() {
		req.Header[sessionHeader] = []string{token.Reveal()}
	}
	if q.sign != nil {
		if err := q.sign.SignRequest(req); err != nil {
			return nil, fmt.Errorf("sign request: %w", err)
		}
	}
	return req, nil
}

func (c *Client) success(resp *http.Response, q request) (response, error) {
	var a response
	if q.login {
		if v := resp.Header.Get(sessionHeader); len(v) <= maxToken {
			a.token = NewToken(v)
		}
	}
	if resp.StatusCode == http.StatusNoContent || resp.ContentLength == 0 {
		return a, nil
	}
	body, err := readBody(resp, c.maxResponse)
	if err != nil {
		return response{}, err
	}
	if len(body) == 0 {
		return a, nil
	}
	if !isJSON(resp) {
		return response{}, errNotJSON
	}
	a.body = body
	return a, nil
}

// failure returns the error for a response whose status is not a success.
func (c *Client) failure(resp *http.Response, q request, token Token) error {
	status := &HTTPError{
		Operation:  q.operation,
		StatusCode: resp.StatusCode,
		RetryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now()),
	}
	body, err := readBody(resp, min(maxFault, c.maxResponse))
	if err != nil {
		// The body can't be read, so the status is all that is known.
		return status
	}
	strike := q.secrets
	if !token.IsZero() {
		strike = append(strike[:len(strike):len(strike)], token.Reveal())
	}
	if !isJSON(resp) {
		status.Message = cleanText(plainLine(resp, body), strike)
		return status
	}
	fault := decodeFault(body)
	if fault == nil {
		status.Message = cleanText(decodeMessage(body), strike)
		return status
	}
	fault.Operation = q.operation
	fault.Message = cleanText(fault.Message, strike)
	if resp.StatusCode == http.StatusInternalServerError {
		return fault
	}
	status.Message = fault.Message
	status.fault = fault
	return status
}

// readBody reads the body and returns an error if it has more than limit bytes.
func readBody(resp *http.Response, limit int64) ([]byte, error) {
	if resp.ContentLength > limit {
		return nil, errTooLarge
	}
	// The buffer gets the declared length only if that is small, because the declaration may be
	// wrong. One more byte is read to reach the end of the body; without that, the connection could
	// not be reused.
	if size := resp.ContentLength; size >= 0 && size <= 1<<20 {
		body := make([]byte, size+1)
		n, err := io.ReadFull(resp.Body, body)
		if int64(n) == size && (err == io.EOF || err == io.ErrUnexpectedEOF) {
			return body[:n], nil
		}
		return nil, fmt.Errorf("read response: %d bytes of %d: %w", n, size, cmp.Or(err, errTooLarge))
	}
	var buf bytes.Buffer
	n, err := buf.ReadFrom(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read response: %w", err)
	}
	if n > limit {
		return nil, errTooLarge
	}
	return buf.Bytes(), nil
}

// plainLine returns the first line of a body that is plain text, or "".
func plainLine(resp *http.Response, body []byte) string {
	media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || media != "text/plain" {
		return ""
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	return line
}

func isJSON(resp *http.Response) bool {
	value := resp.Header.Get("Content-Type")
	if value == "application/json" {
		return true
	}
	media, _, err := mime.ParseMediaType(value)
	return err == nil && media == "application/json"
}

// retryAfter parses a Retry-After header in either form of RFC 9110 §10.2.3.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
