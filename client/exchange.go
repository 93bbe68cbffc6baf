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
	// vmware-api-session-id, in the form that net/http keeps names in.
	sessionHeader = "Vmware-Api-Session-Id"
	// maxFault bounds the body of an answer that is not a success.
	maxFault = 1 << 20
	// maxToken bounds what is taken for a session's token.
	maxToken = 4096

	firstBackoff = 200 * time.Millisecond
	maxBackoff   = 5 * time.Second
	// maxRetryAfter is the longest wait that a read obeys; past it the caller
	// gets the error at once.
	maxRetryAfter = 30 * time.Second
)

var (
	errNotJSON  = errors.New("answer is not application/json")
	errTooLarge = errors.New("answer is larger than the limit")
)

// exchange is one request, ready to be sent any number of times.
type exchange struct {
	operation string // for errors: "SessionManager.Login"
	method    string
	url       url.URL
	body      []byte // nil: none
	read      bool   // may be sent again
	login     bool   // the answer carries a new session's token
	sign      Signer
	// secrets are struck from what the server says, should it repeat them.
	secrets []string
}

// answer is that of an exchange that succeeded.
type answer struct {
	body  []byte // nil: no value
	token Token
}

// send does the exchange, and does it again where that is allowed and promises
// something.
func (c *Client) send(ctx context.Context, q exchange, token Token) (answer, error) {
	backoff := firstBackoff
	for try := 1; ; try++ {
		a, err := c.sendOnce(ctx, q, token)
		if err == nil {
			return a, nil
		}
		if !q.read || try >= c.tries || ctx.Err() != nil {
			return answer{}, err
		}
		wait, ok := retryDelay(err, backoff/2+c.jitter(backoff/2))
		if !ok {
			return answer{}, err
		}
		if deadline, has := ctx.Deadline(); has && time.Until(deadline) < wait {
			return answer{}, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return answer{}, err
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// retryDelay says how long to wait before a read that failed with err is sent
// again, and whether it should be.
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

// isConnectionError reports whether err may be gone on a new connection: not a
// certificate that is not trusted, a name that does not exist, or a timeout,
// which has already cost the caller as long as it was ready to wait.
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

func (c *Client) sendOnce(ctx context.Context, q exchange, token Token) (answer, error) {
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	req, err := c.request(ctx, q, token)
	if err != nil {
		return answer{}, fmt.Errorf("call %s: %w", q.operation, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		// url.Error repeats the URL, which says no more than the operation.
		if ue, ok := errors.AsType[*url.Error](err); ok {
			err = ue.Err
		}
		return answer{}, fmt.Errorf("call %s: %w", q.operation, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return answer{}, c.failure(resp, q, token)
	}
	a, err := c.success(resp, q)
	if err != nil {
		return answer{}, fmt.Errorf("call %s: %w", q.operation, err)
	}
	return a, nil
}

func (c *Client) request(ctx context.Context, q exchange, token Token) (*http.Request, error) {
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

func (c *Client) success(resp *http.Response, q exchange) (answer, error) {
	var a answer
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
		return answer{}, err
	}
	if len(body) == 0 {
		return a, nil
	}
	if !isJSON(resp) {
		return answer{}, errNotJSON
	}
	a.body = body
	return a, nil
}

// failure is the error of an answer that is not a success.
func (c *Client) failure(resp *http.Response, q exchange, token Token) error {
	status := &HTTPError{
		Operation:  q.operation,
		StatusCode: resp.StatusCode,
		RetryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now()),
	}
	body, err := readBody(resp, min(maxFault, c.maxResponse))
	if err != nil || !isJSON(resp) {
		// The status is what counts; there is no more to say about it.
		return status
	}
	strike := q.secrets
	if !token.IsZero() {
		strike = append(strike[:len(strike):len(strike)], token.Reveal())
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

// readBody reads at most limit bytes.
func readBody(resp *http.Response, limit int64) ([]byte, error) {
	if resp.ContentLength > limit {
		return nil, errTooLarge
	}
	// A declared length is believed as far as it is cheap to. The byte more is to
	// see the end, without which a connection is not used again.
	if size := resp.ContentLength; size >= 0 && size <= 1<<20 {
		body := make([]byte, size+1)
		n, err := io.ReadFull(resp.Body, body)
		if int64(n) == size && (err == io.EOF || err == io.ErrUnexpectedEOF) {
			return body[:n], nil
		}
		return nil, fmt.Errorf("read answer: %d bytes of %d: %w", n, size, cmp.Or(err, errTooLarge))
	}
	var buf bytes.Buffer
	n, err := buf.ReadFrom(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if n > limit {
		return nil, errTooLarge
	}
	return buf.Bytes(), nil
}

func isJSON(resp *http.Response) bool {
	value := resp.Header.Get("Content-Type")
	if value == "application/json" {
		return true
	}
	media, _, err := mime.ParseMediaType(value)
	return err == nil && media == "application/json"
}

// retryAfter reads the header's two forms, RFC 9110 §10.2.3.
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
