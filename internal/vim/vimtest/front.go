package vimtest

import (
	"cmp"
	"context"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/domain"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/sessionmanager"
	"github.com/vigate/vigate/internal/vim"
)

// FrontConfig describes the API of a front. All fields are optional.
type FrontConfig struct {
	Name string // if empty, "lab"
	ID   string // the moId of its SessionManager; if empty, "SessionManager"
	sessionmanager.Front

	// Methods are the login methods of a front with PassThrough, besides that for clones. Other fronts
	// have those of the server.
	Methods []login.Method
	// Admits is that of login.GateOptions, and Permits that of vim.Options.
	Admits  func(session.Grant) bool
	Permits func(context.Context, *session.Live, access.Privilege) (bool, error)
}

// Front opens the API of a front over the domain of the server. SessionManager is its only object.
func (s *Server) Front(c FrontConfig) *Server {
	s.t.Helper()
	c.Name = cmp.Or(c.Name, "lab")
	front := &Server{t: s.t, Domain: s.Domain.On(c.Name), parts: s.parts}
	o := login.GateOptions{Admits: c.Admits, Beside: s.Gate, Methods: methods(front.Domain, s.parts)}
	if c.PassThrough {
		o = login.GateOptions{
			Upstream: c.Name, Methods: append([]login.Method{login.Clone{Sessions: front.Sessions}}, c.Methods...),
		}
	}
	front.Gate = front.NewGate(o)
	options := s.parts.Options
	options.Permits = c.Permits
	front.API = vim.New(front.Domain, options)
	s.Must(sessionmanager.Serve(front.API, front.Domain, manager(front.Gate, s.parts, c.ID, &c.Front)))
	return front
}

// Front is Server.Front, with the same clock and log. The administrator and Ann are logged in there, unless
// the front passes logins through.
func (f *Fixture) Front(c FrontConfig) *Fixture {
	f.t.Helper()
	front := &Fixture{Server: f.Server.Front(c), Peer: f.Peer, t: f.t, clock: f.clock, log: f.log}
	if !c.PassThrough {
		front.Admin, front.Ann = front.Login(AdminName, AdminPassword), front.Login(AnnName, AnnPassword)
	}
	return front
}

// methods returns the login methods of a server, or of a front for the principals of the server.
func methods(d *domain.Domain, p *Parts) []login.Method {
	return append(p.Methods[:len(p.Methods):len(p.Methods)],
		login.Clone{Sessions: d.Sessions}, login.ByCertificate{Extensions: p.Extensions.Table()},
		login.BySubject{Extensions: p.Extensions.Table(), Trust: p.Trust, Now: p.Now}, p.passwords,
	)
}

// manager returns the options of SessionManager.
func manager(g *login.Gate, p *Parts, id string, front *sessionmanager.Front) sessionmanager.Options {
	return sessionmanager.Options{
		Gate: g, LocalTickets: p.LocalTickets, HostName: "vigate.test", ID: id, Front: front,
		SHA1: func() string { return "00:11" }, SHA256: func() string { return "22:33" },
	}
}
