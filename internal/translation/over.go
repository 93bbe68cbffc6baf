package translation

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/vim"
)

// path is where messages of SOAP go.
const path = "/sdk"

// Over returns a Front that gives its messages to a handler of SOAP in this process. So a call over VI JSON
// is the same as a call over SOAP in all respects: which session it needs, which objects it may name, and
// what the front serves itself. content returns the content of the server behind.
func Over(soap http.Handler, content func(context.Context) (*types.ServiceContent, error)) Front {
	return &over{soap, content}
}

type over struct {
	soap    http.Handler
	content func(context.Context) (*types.ServiceContent, error)
}

func (o *over) Content(ctx context.Context) (*types.ServiceContent, *vim.Fault) {
	content, err := o.content(ctx)
	if err != nil {
		return nil, vim.FaultOf(err)
	}
	return content, nil
}

// Forward returns as soon as the answer has begun.
func (o *over) Forward(ctx context.Context, c *Call) (*Answer, *vim.Fault) {
	ctx, cancel := context.WithCancel(ctx)
	reader, writer := io.Pipe()
	w := &pipe{PipeWriter: writer, header: http.Header{}, begun: make(chan struct{}), done: make(chan struct{})}
	go w.serve(o.soap, o.request(ctx, c))
	<-w.begun
	return &Answer{Status: w.status, Header: w.sent, Body: &piped{reader, cancel, w.done}}, nil
}

// request returns the request of SOAP that stands for a client's request of JSON.
func (o *over) request(ctx context.Context, c *Call) *http.Request {
	r := c.Request.WithContext(ctx)
	r.Method, r.URL, r.RequestURI = http.MethodPost, &url.URL{Path: path}, path
	r.Header = r.Header.Clone()
	r.Header["Content-Type"] = []string{"text/xml; charset=utf-8"}
	r.Header["Soapaction"] = []string{c.Action}
	for _, name := range []string{"Accept-Encoding", "Content-Encoding", "Content-Length"} {
		delete(r.Header, name)
	}
	r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(c.Message)), int64(len(c.Message)), nil
	return r
}

// pipe is the response of a handler that another goroutine reads.
type pipe struct {
	*io.PipeWriter
	header http.Header
	status int           // of the answer, once it has begun
	sent   http.Header   // likewise
	begun  chan struct{} // closed when status and sent are known
	done   chan struct{} // closed when the handler has returned
}

var errAborted = errors.New("the answer was cut short")

// serve runs the handler.
func (p *pipe) serve(h http.Handler, r *http.Request) {
	defer close(p.done)
	defer func() {
		var err error
		if v := recover(); v != nil {
			err = errAborted // it has no other way to say so, see http.ErrAbortHandler
		}
		p.WriteHeader(http.StatusOK)
		_ = p.CloseWithError(err) // it never fails
	}()
	h.ServeHTTP(p, r)
}

func (p *pipe) Header() http.Header { return p.header }

func (p *pipe) WriteHeader(status int) {
	if p.status == 0 && status >= http.StatusOK {
		p.status, p.sent = status, p.header.Clone()
		close(p.begun)
	}
}

func (p *pipe) Write(b []byte) (int, error) {
	p.WriteHeader(http.StatusOK)
	return p.PipeWriter.Write(b)
}

// piped is the body of an answer.
type piped struct {
	*io.PipeReader
	cancel context.CancelFunc
	done   chan struct{}
}

// Close ends the handler if it still runs, and waits for it: it uses the client's request.
func (p *piped) Close() error {
	p.cancel()
	err := p.PipeReader.Close()
	<-p.done
	return err
}
