package server

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"testing"
	"time"
)

// Frames of HTTP/2 (RFC 9113 §6), their flags, settings and error codes.
const (
	frameData, frameHeaders, frameReset, frameSettings     = 0x0, 0x1, 0x3, 0x4
	framePing, frameGoAway, frameWindow, frameContinuation = 0x6, 0x7, 0x8, 0x9

	flagEndStream, flagAck, flagEndHeaders = 0x1, 0x1, 0x4

	settingTable, settingWindow = 1, 4

	errCancel, errCalm = 0x8, 0xb
)

// frame is one HTTP/2 frame.
type frame struct {
	kind, flags byte
	stream      uint32
	payload     []byte
}

// code returns the error code of a frame that has one.
func (f frame) code() uint32 {
	if f.kind == frameGoAway {
		return binary.BigEndian.Uint32(f.payload[4:])
	}
	return binary.BigEndian.Uint32(f.payload)
}

// rough is an HTTP/2 client that sends exactly what the test tells it to, even if it violates the protocol.
type rough struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
}

// rough connects to the TLS listener. settings are the client's, as pairs of identifier and value.
func (r *running) rough(settings ...uint32) *rough {
	r.t.Helper()
	raw, err := net.Dial("tcp", r.Addr("tls").String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { raw.Close() })
	if err := raw.SetDeadline(time.Now().Add(patience)); err != nil {
		r.t.Fatal(err)
	}
	c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err := c.Handshake(); err != nil {
		r.t.Fatal(err)
	}
	x := &rough{Conn: c, t: r.t, r: bufio.NewReader(c)}
	var payload []byte
	for pair := range slices.Chunk(append(settings, settingTable, 0), 2) {
		payload = binary.BigEndian.AppendUint16(payload, uint16(pair[0]))
		payload = binary.BigEndian.AppendUint32(payload, pair[1])
	}
	x.must(io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
	x.must(x.send(frame{frameSettings, 0, 0, payload}))
	return x
}

func (x *rough) must(_ int, err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

// send sends frames in one write.
func (x *rough) send(frames ...frame) (int, error) {
	var b []byte
	for _, f := range frames {
		b = binary.BigEndian.AppendUint32(b, uint32(len(f.payload))<<8|uint32(f.kind))
		b = append(b, f.flags)
		b = binary.BigEndian.AppendUint32(b, f.stream)
		b = append(b, f.payload...)
	}
	return x.Write(b)
}

// next reads one frame.
func (x *rough) next() (frame, error) {
	var head [9]byte
	if _, err := io.ReadFull(x.r, head[:]); err != nil {
		return frame{}, err
	}
	f := frame{head[3], head[4], binary.BigEndian.Uint32(head[5:]), make([]byte, binary.BigEndian.Uint32(head[:])>>8)}
	_, err := io.ReadFull(x.r, f.payload)
	return f, err
}

// until reads frames up to a wanted one. Meanwhile it answers the server's pings.
func (x *rough) until(wanted func(frame) bool) (frame, error) {
	for {
		f, err := x.next()
		if err != nil || wanted(f) {
			return f, err
		}
		if f.kind == framePing && f.flags&flagAck == 0 {
			if _, err := x.send(frame{framePing, flagAck, 0, f.payload}); err != nil {
				return f, err
			}
		}
	}
}

// field returns a header field without compression and without indexing (RFC 7541 §6.2.2).
func field(name, value string) []byte {
	b := appendString([]byte{0}, name)
	return appendString(b, value)
}

func appendString(b []byte, s string) []byte {
	n := len(s)
	if n < 0x7f {
		return append(append(b, byte(n)), s...)
	}
	b = append(b, 0x7f)
	for n -= 0x7f; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(append(b, byte(n)), s...)
}

// head returns the header block of a request. more are further fields.
func head(method, path string, more ...[]byte) []byte {
	fields := [][]byte{field(":method", method), field(":scheme", "https"), field(":path", path),
		field(":authority", "localhost")}
	return slices.Concat(append(fields, more...)...)
}

// get returns a whole request.
func get(stream uint32, path string, more ...[]byte) frame {
	return frame{frameHeaders, flagEndHeaders | flagEndStream, stream, head("GET", path, more...)}
}

// post returns the beginning of a request whose body is not sent.
func post(stream uint32, path string, more ...[]byte) frame {
	return frame{frameHeaders, flagEndHeaders, stream, head("POST", path, more...)}
}

// status returns the status in a response's HEADERS frame. It is the first field, as an index or as text,
// because the client keeps no dynamic table (see rough).
func (f frame) status() string {
	b := bytes.TrimPrefix(f.payload, []byte{0x20}) // the update of the table's size to 0
	indexed := map[byte]string{0x88: "200", 0x89: "204", 0x8c: "400", 0x8d: "404", 0x8e: "500"}
	switch {
	case len(b) == 0:
		return ""
	case indexed[b[0]] != "":
		return indexed[b[0]]
	case b[0]&0xf0 == 0 && len(b) >= 5 && b[1] == 3: // Huffman coding would not make these shorter
		return string(b[2:5])
	}
	return ""
}
