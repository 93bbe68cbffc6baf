package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/vigate/vigate/internal/gateway/answer"
	"github.com/vigate/vigate/internal/gateway/hop"
	"github.com/vigate/vigate/internal/gateway/message"
	"github.com/vigate/vigate/internal/gateway/method"
	"github.com/vigate/vigate/internal/vim"
)

// Answer is the answer of an upstream, as a client may see it.
type Answer struct {
	Status int
	Header http.Header
	// Body must be closed. Size is its length in bytes, or -1 if it is not known.
	Body io.ReadCloser
	Size int64
}

// partSize is the number of bytes of an answer between two checks whether it is still wanted.
const partSize = 32 << 10

// buffers are the memory with which one answer passes.
type buffers struct {
	stream message.Stream
	part   [partSize]byte
}

func (f *Front) buffer() *buffers {
	if b, ok := f.buffers.Get().(*buffers); ok {
		return b
	}
	return new(buffers)
}

// body is the body of an answer: its first part, and what follows.
type body struct {
	p       *passage
	ctx     context.Context
	buffers *buffers  // nil if the whole body is in first
	first   []byte    // what is not read yet of the first part
	rest    io.Reader // nil if there is none
	source  io.Closer // nil if it is closed
	sent    int       // bytes since the last check
	err     error
}

// Read implements io.Reader. An answer whose client must not get more of it ends with an error.
func (b *body) Read(p []byte) (int, error) {
	if len(b.first) > 0 {
		n := copy(p, b.first)
		b.first = b.first[n:]
		return n, nil
	}
	if b.err != nil {
		return 0, b.err
	}
	if b.rest == nil {
		return 0, io.EOF
	}
	if b.sent >= partSize {
		b.sent = 0
		if err := b.p.API.Wanted(b.ctx, b.p.call.VIM); err != nil {
			b.err = err
			return 0, err
		}
	}
	n, err := b.rest.Read(p)
	b.sent += n
	if b.err = err; errors.Is(err, io.EOF) && n == 0 {
		if fault := b.p.admission.Done(nil); fault != nil {
			b.err = fault
		}
	}
	return n, b.err
}

// WriteTo implements io.WriterTo. It saves the copies that Read makes.
func (b *body) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(b.first)
	total := int64(n)
	b.first = nil
	if err != nil || b.rest == nil {
		return total, err
	}
	if s, ok := b.rest.(io.WriterTo); ok {
		more, err := s.WriteTo(&wanted{b, w})
		if total += more; err != nil {
			return total, err
		}
	}
	more, err := io.Copy(w, struct{ io.Reader }{b}) // Read makes the last check
	return total + more, err
}

// wanted is where an answer is written as long as its client may get it.
type wanted struct {
	b  *body
	to io.Writer
}

// Write implements io.Writer.
func (w *wanted) Write(p []byte) (int, error) {
	if err := w.b.p.API.Wanted(w.b.ctx, w.b.p.call.VIM); err != nil {
		return 0, err
	}
	return w.to.Write(p)
}

// Close implements io.Closer.
func (b *body) Close() error {
	if b.source != nil {
		_ = b.source.Close() // nothing more is read from it
		b.source = nil
	}
	if b.buffers != nil {
		b.p.buffers.Put(b.buffers)
		b.buffers, b.first, b.rest = nil, nil, nil
	}
	b.p.leave()
	b.p.admission.Done(nil)
	return nil
}

// passed returns the answer of an upstream to a call that it has carried out.
func (p *passage) passed(ctx context.Context, response *http.Response) (*Answer, error) {
	buffers := p.buffer()
	set := p.set()
	set.Begin(&buffers.stream, p, response.Body)
	b := &body{p: p, ctx: ctx, buffers: buffers, source: response.Body}
	n, err := io.ReadFull(&buffers.stream, buffers.part[:])
	b.first = buffers.part[:n]
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		p.drop(b)
		return nil, fmt.Errorf("%w: %w", errUnknown, err)
	}
	if err := p.tokens(b); err != nil {
		p.drop(b)
		return nil, err
	}
	if err == nil {
		p.chain(b)
		return &Answer{response.StatusCode, p.headers(response, set), b, -1}, nil
	}
	b.first = p.finish(b.first)
	if fault := p.admission.Done(nil); fault != nil {
		p.drop(b)
		return nil, fault
	}
	return &Answer{response.StatusCode, p.headers(response, set), b, int64(len(b.first))}, nil
}

// finish rewrites the URLs in a whole answer, and inserts what the front has.
func (p *passage) finish(raw []byte) []byte {
	if p.Links != nil {
		raw = p.Links.Text(p.call.VIM, raw)
	}
	if p.retrieval != nil {
		i := p.retrieval.inserter(p)
		raw = i.Objects().Append(nil, raw, i)
	}
	return raw
}

// chain does the same for a long answer.
func (p *passage) chain(b *body) {
	b.rest = &b.buffers.stream
	if p.Links == nil && p.retrieval == nil {
		return
	}
	b.rest = io.MultiReader(bytes.NewReader(b.first), b.rest)
	b.first = nil
	if p.Links != nil {
		b.rest = p.Links.Answer(p.call.VIM, b.rest)
	}
	if p.retrieval != nil {
		i, s := p.retrieval.inserter(p), new(message.Stream)
		s.Reset(i.Objects(), i, b.rest)
		b.rest = s
	}
}

// drop gives back the memory of an answer that is not sent.
func (p *passage) drop(b *body) {
	_ = b.source.Close() // nothing more is read from it
	p.buffers.Put(b.buffers)
}

// tokens replaces the token of a retrieval that is not finished by one of the client's own, and forgets the
// token of the request.
func (p *passage) tokens(b *body) error {
	if p.method.Resumes {
		if o := p.table.Find(p.live, p.message.Token.Text); o != nil {
			p.table.Remove(o)
		}
	}
	if !p.method.Retrieves && !p.method.Resumes {
		return nil
	}
	place, found := message.ContinuationToken(b.first)
	if !found {
		return nil
	}
	via, parent := p.reader, (*object)(nil)
	if via == "" && p.on != nil {
		via, parent = p.on.Real, p.on
	}
	o, old, err := p.table.AddToken(p.live, p.session, object{
		Real: place.Text, Via: via, Parent: parent, Note: p.note(),
	})
	if old != nil {
		p.cleaner.destroy(p.session, old)
	}
	if err != nil {
		p.cleaner.destroy(p.session, &object{Type: method.Token, Real: place.Text, Via: via})
		return err
	}
	changed := make([]byte, 0, len(b.first)+len(o.ID))
	changed = append(append(changed, b.first[:place.Begin]...), o.ID...)
	b.first = append(changed, b.first[place.End:]...)
	return nil
}

// note returns what must be known to continue a retrieval.
func (p *passage) note() any {
	if p.retrieval == nil {
		return nil
	}
	return p.retrieval
}

// whole returns an answer that is read already.
func (p *passage) whole(response *http.Response, raw []byte) (*Answer, error) {
	set := p.set()
	b := &body{p: p, first: p.finish(set.Text(p, raw))}
	if fault := p.admission.Done(nil); fault != nil {
		return nil, fault
	}
	return &Answer{response.StatusCode, p.headers(response, set), b, int64(len(b.first))}, nil
}

// headers returns the headers of an answer.
func (p *passage) headers(response *http.Response, set *answer.Set) http.Header {
	return hop.Answer(response.Header, func(v string) string { return set.Value(p, v) })
}

// send sends an answer to a client. If it breaks off, so does the connection, so that the client can't mistake
// the part for the whole.
func (a *Answer) send(w http.ResponseWriter) {
	defer func() { _ = a.Body.Close() }() // it never fails
	h := w.Header()
	for name, values := range a.Header {
		h[name] = values
	}
	if a.Size >= 0 {
		h["Content-Length"] = []string{strconv.FormatInt(a.Size, 10)}
	}
	w.WriteHeader(a.Status)
	if _, err := io.Copy(w, a.Body); err != nil && a.Size < 0 {
		panic(http.ErrAbortHandler) // it does no harm if the client has disconnected
	}
}

// content answers what everybody may know of the upstream.
func (f *Front) content(ctx context.Context, c *Call, m *message.Message) (*Answer, *vim.Fault) {
	ad, fault := f.API.Admit(ctx, c.VIM, vim.Foreign{Privilege: vim.Anonymous, Measured: "upstream"})
	if fault != nil {
		return nil, fault
	}
	content, err := f.Upstream.Content(ctx)
	if err != nil {
		return nil, ad.Done(f.faultOf(err))
	}
	raw := content.Raw
	if m.Method == fetch {
		raw = message.AsFetched(raw)
	}
	if f.Links != nil {
		raw = f.Links.Text(c.VIM, raw)
	}
	if fault := ad.Done(nil); fault != nil {
		return nil, fault
	}
	return answerOf(raw), nil
}
