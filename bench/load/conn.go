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

// Target is where a server listens.
type Target struct {
	Address     string
	TLS         bool
	Certificate *tls.Certificate // that the client shows, if any
}

// Conn is one keep-alive connection of HTTP/1.1. It does next to nothing with
// what comes, so that what is measured is the server: it takes bytes that are
// ready to be sent, and finds the answer's end.
type Conn struct {
	c net.Conn
	r *bufio.Reader
	// Keep has Do keep the body of answers, which is otherwise counted and
	// dropped.
	Keep bool
	body []byte
}

// Answer is what Do has read. It is valid until the next Do.
type Answer struct {
	Status int
	Length int64  // of the body, in bytes
	Body   []byte // with Keep only
	Token  []byte // the header vmware-api-session-id, where there is one
	Cookie []byte // the value of the first Set-Cookie, attributes and quotes left out
	// RetryAfter is how long the server asks to be left alone, 0 if it doesn't.
	RetryAfter time.Duration
}

// Dial opens a connection. The server's certificate is not checked: it is on
// this machine and measures only.
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

// Deadline bounds all that is done from now on.
func (c *Conn) Deadline(t time.Time) error { return c.c.SetDeadline(t) }

// Close closes the connection.
func (c *Conn) Close() error { return c.c.Close() }

var (
	errAnswer     = errors.New("not an answer of HTTP/1.1")
	headerLength  = []byte("content-length")
	headerChunked = []byte("transfer-encoding")
	headerToken   = []byte("vmware-api-session-id")
	headerCookie  = []byte("set-cookie")
	headerRetry   = []byte("retry-after")
)

// Do sends a request and reads its answer.
func (c *Conn) Do(request []byte) (Answer, error) {
	if _, err := c.c.Write(request); err != nil {
		return Answer{}, fmt.Errorf("send request: %w", err)
	}
	a, err := c.read()
	if err != nil {
		return a, fmt.Errorf("read answer: %w", err)
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

// take reads n bytes of the body.
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

// maxKept bounds the body that Keep keeps.
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
