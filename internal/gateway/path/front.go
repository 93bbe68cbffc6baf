package path

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/vigate/vigate/internal/gateway"
	"github.com/vigate/vigate/internal/httptoken"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/upstream"
	"github.com/vigate/vigate/internal/vim"
)

// Through makes the handler pass requests through a front to its upstream. The other fields must be set as
// well.
func (h *Handler) Through(f *gateway.Front) {
	h.Upstream, h.SOAP, h.Explain = f.Upstream, f, f.Explain
	h.Begin = func(ctx context.Context, c *vim.Call, a Access) (Passage, *vim.Fault) {
		v, fault := f.Begin(ctx, c, gateway.Access(a))
		if fault != nil {
			return nil, fault
		}
		return &visit{Visit: v}, nil
	}
}

// visit is a request that the gateway has admitted.
type visit struct {
	*gateway.Visit
	seat *seat // of the present session; nil before it is asked for
}

// Session implements Passage.
func (v *visit) Session() Session {
	if s := v.Visit.Session(); v.seat == nil || v.seat.Session != s {
		v.seat = &seat{Session: s}
	}
	return v.seat
}

// seat is a session of the upstream, with the session of the Automation API that belongs to it.
type seat struct {
	*upstream.Session
	rest *upstream.REST
}

// REST implements Session. It returns no id if the upstream has no Automation API.
func (s *seat) REST(ctx context.Context) (secret.Text, error) {
	r, err := s.Session.REST(ctx)
	if err != nil || r == nil {
		return secret.Text{}, err
	}
	s.rest = r
	return r.Token(), nil
}

var errREST = errors.New("the upstream does not know the session of its Automation API")

// ProbeREST implements Session.
func (s *seat) ProbeREST(ctx context.Context, id secret.Text) bool {
	if s.rest == nil || id.IsZero() || s.rest.Shared() {
		return true // there is none that could be lost, or Probe has found it alive
	}
	for _, path := range []string{sessionPath, oldSessionPath} {
		switch s.ask(ctx, path, id) {
		case http.StatusUnauthorized:
			s.rest.Lost(errREST)
			return false
		case http.StatusNotFound, http.StatusMethodNotAllowed:
			continue // another version
		}
		return true
	}
	return true
}

// ask returns the status with which the upstream describes a session, or 0.
func (s *seat) ask(ctx context.Context, path string, id secret.Text) int {
	u := s.Upstream().URL()
	u.Path = path
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return 0
	}
	r.Header.Set(httptoken.Header, id.Reveal())
	r.Header.Set("User-Agent", s.Upstream().UserAgent())
	res, err := s.Upstream().RoundTrip(r)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	// The rest is read, so that the connection can be used again.
	_, _ = io.CopyN(io.Discard, res.Body, 64<<10)
	return res.StatusCode
}
