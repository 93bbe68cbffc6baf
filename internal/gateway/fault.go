package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/gateway/answer"
	"github.com/vigate/vigate/internal/gateway/owned"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/upstream"
	"github.com/vigate/vigate/internal/vim"
)

// faultOf returns the fault for an error of a call that was passed on.
func (f *Front) faultOf(err error) *vim.Fault {
	if fault, ok := errors.AsType[*vim.Fault](err); ok {
		return fault
	}
	switch {
	case errors.Is(err, errUnknown):
		return vim.NewFault(&types.SystemError{
			Reason: "The connection to the upstream server failed after the request was sent. " +
				"It is not known whether the request was carried out.",
		}, err)
	case errors.Is(err, upstream.ErrUnreachable):
		return vim.Refusal("upstream.unreachable", tryAgain, err)
	case errors.Is(err, upstream.ErrFull):
		if share, ok := errors.AsType[*upstream.ShareError](err); ok {
			return vim.Refusal("upstream.share", tryAgain, err, share.Processes, share.Sessions)
		}
		return vim.Refusal("upstream.full", tryAgain, err)
	case errors.Is(err, upstream.ErrAccount):
		return vim.Refusal("upstream.account", tryAgain, err)
	case errors.Is(err, upstream.ErrClosed), errors.Is(err, errLost), errors.Is(err, errDoubt),
		errors.Is(err, errDraining):
		return vim.Unavailable(err)
	case errors.Is(err, upstream.ErrGone), errors.Is(err, owned.ErrGone), errors.Is(err, session.ErrNoSession):
		return vim.NotAuthenticated(vim.RootFolder(), vim.View)
	}
	return vim.FaultOf(err)
}

// tryAgain is when a client should try a call again that got no place at the upstream.
const tryAgain = 2 * time.Second

// bodyFault returns the fault for a request that could not be read.
func bodyFault(err error) *vim.Fault {
	switch {
	case errors.Is(err, binding.ErrTooLarge):
		return vim.InvalidRequest("the message is larger than 64 MiB")
	case errors.Is(err, binding.ErrCrowded):
		return vim.Unavailable(fmt.Errorf("read request: %w", err))
	}
	return vim.InvalidRequest("the message did not come whole")
}

// answerOf returns an answer of vigate's own.
func answerOf(raw []byte) *Answer {
	return &Answer{
		Status: http.StatusOK, Header: http.Header{"Content-Type": {"text/xml; charset=utf-8"}},
		Body: io.NopCloser(bytes.NewReader(raw)), Size: int64(len(raw)),
	}
}

// void answers a call without a result, on behalf of the upstream.
func (p *passage) void() (*Answer, error) {
	if fault := p.admission.Done(nil); fault != nil {
		return nil, fault
	}
	name := p.message.Method + "Response"
	return answerOf(answer.Envelope("<" + name + ` xmlns="urn:vim25"/>`)), nil
}
