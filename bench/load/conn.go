package load

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// Target is the address of a server.
type Target struct {
	Address     string
	TLS         bool
	Certificate *tls.Certificate // the client's certificate, if any
}

// Conn is a keep-alive connection of HTTP/1.1. It does as little work as possible, so that the
// server is measured and not the client: it sends prepared bytes and finds the end of the response.
type Conn struct {
	c net.Conn
	r *bufio.Reader
	// Keep makes Do keep the bodies of responses. Otherwise they are only counted.
	Keep bool
	body []byte
}

// Answer is a response that Do has read. It is valid until the next call of Do.
type Answer struct {
	Status int
	Length int64  // length of the body in bytes
	Body   []byte // only set if Keep is set
	Token  []byte // value of the header vmware-api-session-id, if any
	Cookie []byte // value of the first Set-Cookie, without attributes and quotes
	// RetryAfter is the time that the server asks the client to wait, or 0.
	RetryAfter time.Duration
}

// Dial opens a connection. It does not verify the server's certificate: the server runs on the same
// machine.
func Dial(ctx context.Context, t Target) (*Conn, error) {
	d := net.Dialer{Timeout: time.Minute}
	c, err := d.DialContext(ctx, "tcp", t.Address)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	if t.TLS {
		cfg := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}
		if t.Certificate != nil {
			cfg.Certificates = []tls.Certificate{*t.Certificate}
		}
		s := tls.Client(c, cfg)
		if err := s.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("dial: %w", errors.Join(err, c.Close()))
		}
		c = s
	}
	return &Conn{c: c, r: bufio.NewReaderSize(c, 16<<10)}, nil
}

// Deadline sets the deadline of all future operations.
func (c *Conn) Deadline(t time.Time) error { return c.c.SetDeadline(t) }

// Close closes the connection.
func (c *Conn) Close() error { return c.c.Close() }

var (
	errAnswer     = errors.New("not a response of HTTP/1.1")
	headerLength  = []byte("content-length")
	headerChunked = []byte("transfer-encoding")
	headerToken   = []byte("vmware-api-session-id")
	headerCookie  = []byte("set-cookie")
	headerRetry   = []byte("retry-after")
)

// Do sends a request and reads the response.
func (c *Conn) Do(request []byte) (Answer, error) {
	if _, err := c.c.Write(request); err != nil {
		return Answer{}, fmt.Errorf("send request: %w", err)
	}
	a, err := c.read()
	if err != nil {
		return a, fmt.Errorf("read response: %w", err)
	}
	return a, nil
}

func (c *Conn) read() (Answer, error) {
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return Answer{}, err
	}
	if len(line) < 12 || string(line[:9]) != "HTTP/1.1 " {
		return Answer{}, errAnswer
	}
	a := Answer{}
	if a.Status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return a, errAnswer
	}
	chunked := false
	for {
		if line, err = c.r.ReadSlice('\n'); err != nil {
			return a, err
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, headerLength):
			a.Length, err = strconv.ParseInt(string(value), 10, 64)
		case bytes.EqualFold(name, headerChunked):
			chunked = true
		case bytes.EqualFold(name, headerToken):
			a.Token = bytes.Clone(value)
		case bytes.EqualFold(name, headerCookie) && a.Cookie == nil:
			a.Cookie = cookieValue(value)
		case bytes.EqualFold(name, headerRetry):
			var n int
			n, err = strconv.Atoi(string(value))
			a.RetryAfter = time.Duration(n) * time.Second
		}
		if err != nil {
			return a, errAnswer
		}
	}
	c.body = c.body[:0]
	if chunked {
		a.Length, err = c.chunks()
	} else {
		err = c.take(a.Length)
	}
	if c.Keep {
		a.Body = c.body
	}
	return a, err
}

func cookieValue(v []byte) []byte {
	_, v, _ = bytes.Cut(v, []byte("="))
	v, _, _ = bytes.Cut(v, []byte(";"))
	return bytes.Clone(bytes.Trim(v, `"`))
}

// take reads n bytes of the body and keeps them if Keep is set.
func (c *Conn) take(n int64) error {
	if !c.Keep {
		_, err := io.CopyN(io.Discard, c.r, n)
		return err
	}
	at := len(c.body)
	if n < 0 || n > maxKept-int64(at) {
		return fmt.Errorf("a body of more than %d bytes", maxKept)
	}
	c.body = append(c.body, make([]byte, n)...)
	_, err := io.ReadFull(c.r, c.body[at:])
	return err
}

// maxKept is the maximum size of a body that is kept.
const maxKept = 256 << 20

func (c *Conn) chunks() (int64, error) {
	var total int64
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return total, err
		}
		n, err := strconv.ParseInt(string(bytes.TrimRight(line, "\r\n")), 16, 63)
		if err != nil {
			return total, errAnswer
		}
		if err := c.take(n); err != nil {
			return total, err
		}
		if _, err := c.r.Discard(2); err != nil {
			return total, err
		}
		if total += n; n == 0 {
			return total, nil
		}
	}
}
