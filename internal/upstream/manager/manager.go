// Package manager shows the upstreams to the clients of vigate's own API: the managed object
// UpstreamManager. It is an addition to the API, which other servers do not have.
//
// [Serve] adds the object. Its properties have the limits, accounts and sessions of the upstreams, and its method
// TestUpstream finds out whether an upstream can be used. The object changes nothing.
package manager

import (
	"context"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/upstream"
	"github.com/vigate/vigate/internal/vim"
)

// ObjectType and ObjectID name the managed object. They are part of the protocol.
const (
	ObjectType = "UpstreamManager"
	ObjectID   = "upstreams"
)

// Options are what Serve needs. Upstreams is required.
type Options struct {
	Upstreams func() []*upstream.Upstream
	// Clients returns the client sessions of an upstream's front. nil: only those are shown that have a
	// session at the upstream of their own.
	Clients func(upstream string) []Client
}

// Client is a client session of a front.
type Client struct {
	Key     string // as in sessionList
	Account string // with which it acts at the upstream; empty: none
	Session string // id of the session at the upstream that it is tied to; empty: none
}

// VigateUpstream is an upstream as clients see it. The names of the type and its members are part of the
// protocol.
type VigateUpstream struct {
	Name string `xml:"name" json:"name"`
	Url  string `xml:"url" json:"url"`
	Mode string `xml:"mode" json:"mode"`
	// Available is false while the upstream can't be reached; Error says why.
	Available bool       `xml:"available" json:"available"`
	Error     string     `xml:"error,omitempty" json:"error,omitempty"`
	Since     *time.Time `xml:"since,omitempty" json:"since,omitempty"`
	// ApiType, Version and Build are unset until the upstream has answered.
	ApiType string `xml:"apiType,omitempty" json:"apiType,omitempty"`
	Version string `xml:"version,omitempty" json:"version,omitempty"`
	Build   string `xml:"build,omitempty" json:"build,omitempty"`

	MaxSessions int32 `xml:"maxSessions" json:"maxSessions"`
	MaxRequests int32 `xml:"maxRequests" json:"maxRequests"`
	MaxWaits    int32 `xml:"maxWaits" json:"maxWaits"`
	// Places are the sessions that count for MaxSessions. GhostSessions of them can't be used by
	// vigate.
	Places        int32 `xml:"places" json:"places"`
	GhostSessions int32 `xml:"ghostSessions" json:"ghostSessions"`
	Requests      int32 `xml:"requests" json:"requests"`
	Waits         int32 `xml:"waits" json:"waits"`
	Queued        int32 `xml:"queued" json:"queued"`
	QueuedWaits   int32 `xml:"queuedWaits" json:"queuedWaits"`

	Account []VigateUpstreamAccount `xml:"account,omitempty" json:"account,omitempty"`
	Session []VigateUpstreamSession `xml:"session,omitempty" json:"session,omitempty"`

	// Since the start of the server.
	LoginCount       int64 `xml:"loginCount" json:"loginCount"`
	FailedLoginCount int64 `xml:"failedLoginCount" json:"failedLoginCount"`
	LostSessionCount int64 `xml:"lostSessionCount" json:"lostSessionCount"`
	RefusedCount     int64 `xml:"refusedCount" json:"refusedCount"`
	RequestCount     int64 `xml:"requestCount" json:"requestCount"`
}

// VigateUpstreamAccount is an account of an upstream.
type VigateUpstreamAccount struct {
	Name         string `xml:"name" json:"name"`
	UserName     string `xml:"userName" json:"userName"`
	PassThrough  bool   `xml:"passThrough" json:"passThrough"`
	SessionCount int32  `xml:"sessionCount" json:"sessionCount"`
	// Error says why the last login failed, and NextLogin when another one is tried at the earliest.
	Error     string     `xml:"error,omitempty" json:"error,omitempty"`
	NextLogin *time.Time `xml:"nextLogin,omitempty" json:"nextLogin,omitempty"`
}

// VigateUpstreamSession is a session of vigate's at an upstream. Its id is vigate's own, not the key.
type VigateUpstreamSession struct {
	Id        string    `xml:"id" json:"id"`
	Account   string    `xml:"account" json:"account"`
	Locale    string    `xml:"locale,omitempty" json:"locale,omitempty"`
	Requests  int32     `xml:"requests" json:"requests"`
	Owned     int32     `xml:"owned" json:"owned"` // what is tied to it
	LoginTime time.Time `xml:"loginTime" json:"loginTime"`
	LastUsed  time.Time `xml:"lastUsed" json:"lastUsed"`
	Ending    bool      `xml:"ending" json:"ending"` // it takes no new clients
}

// VigateUpstreamClient is a client session of a front, with the account and the session that serve
// it.
type VigateUpstreamClient struct {
	Upstream string `xml:"upstream" json:"upstream"`
	Key      string `xml:"key" json:"key"` // of the client session, as in sessionList
	Account  string `xml:"account,omitempty" json:"account,omitempty"`
	// Session is the id of a VigateUpstreamSession. It is unset if any session of the account serves the
	// client session.
	Session string `xml:"session,omitempty" json:"session,omitempty"`
}

// TestUpstreamRequestType is the request of TestUpstream.
type TestUpstreamRequestType struct {
	This types.ManagedObjectReference `xml:"_this" json:"-"`
	Name string                       `xml:"name" json:"name"`
}

// VigateUpstreamFinding is what a test found out about one thing.
type VigateUpstreamFinding struct {
	Subject string `xml:"subject" json:"subject"`
	Found   string `xml:"found,omitempty" json:"found,omitempty"`
	Error   string `xml:"error,omitempty" json:"error,omitempty"`
}

// Serve adds the object to the API. Call it before the first request.
func Serve(api *vim.API, o Options) error {
	m := manager{o}
	return api.Add(&vim.Object{
		Type: ObjectType, ID: ObjectID,
		Methods: []vim.Method{
			// A test logs in at the upstream, so not everybody who may look may test.
			vim.NewMethod("TestUpstream", access.GlobalSettings, m.test, vim.Audited, vim.Faults("NotFound")),
		},
		Properties: []vim.Property{
			vim.NewProperty("clients", access.TerminateSession, m.clients),
			vim.NewProperty("upstreams", vim.Read, m.upstreams),
		},
	})
}

type manager struct{ Options }

func (m manager) upstreams(context.Context, *vim.Call) ([]VigateUpstream, error) {
	var all []VigateUpstream
	for _, u := range m.Upstreams() {
		all = append(all, show(u.State()))
	}
	return all, nil
}

func (m manager) clients(context.Context, *vim.Call) ([]VigateUpstreamClient, error) {
	var all []VigateUpstreamClient
	for _, u := range m.Upstreams() {
		own := map[string]upstream.SessionState{}
		for _, s := range u.State().Sessions {
			if s.Client != "" {
				own[s.Client] = s
			}
		}
		var clients []Client
		if m.Clients != nil {
			clients = m.Clients(u.Name())
		}
		for _, c := range clients {
			if s, ok := own[c.Key]; ok {
				c.Account, c.Session = s.Account, s.ID
				delete(own, c.Key)
			}
			all = append(all, VigateUpstreamClient{u.Name(), c.Key, c.Account, c.Session})
		}
		for _, key := range slices.Sorted(maps.Keys(own)) {
			all = append(all, VigateUpstreamClient{u.Name(), key, own[key].Account, own[key].ID})
		}
	}
	return all, nil
}

func (m manager) test(ctx context.Context, _ *vim.Call, r *TestUpstreamRequestType) ([]VigateUpstreamFinding, error) {
	for _, u := range m.Upstreams() {
		if u.Name() != r.Name {
			continue
		}
		var all []VigateUpstreamFinding
		for _, f := range u.Test(ctx) {
			all = append(all, VigateUpstreamFinding{Subject: f.Subject, Found: f.Found, Error: text(f.Err)})
		}
		return all, nil
	}
	return nil, vim.NewFault(&types.NotFound{}, nil)
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func number(n int) int32 { return int32(min(n, math.MaxInt32)) }

func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// show returns the state in the form for clients.
func show(s upstream.State) VigateUpstream {
	u := VigateUpstream{
		Name: s.Name, Url: s.URL, Mode: "shared", Available: s.Err == nil, Error: text(s.Err), Since: instant(s.Since),
		ApiType: s.Type, Version: s.Version, Build: s.Build,
		MaxSessions: number(s.MaxPlaces), MaxRequests: number(s.MaxRequests), MaxWaits: number(s.MaxWaits),
		Places: number(s.Places), GhostSessions: number(s.Ghosts), Requests: number(s.InFlight), Waits: number(s.Waits),
		Queued: number(s.Queued), QueuedWaits: number(s.QueuedWaits),
		LoginCount: int64(s.Logins), FailedLoginCount: int64(s.Failures), LostSessionCount: int64(s.Lost),
		RefusedCount: int64(s.Full), RequestCount: int64(s.Served),
	}
	if s.Private {
		u.Mode = "private"
	}
	for _, a := range s.Accounts {
		u.Account = append(u.Account, VigateUpstreamAccount{
			Name: a.Name, UserName: a.User, PassThrough: a.PassThrough, SessionCount: number(a.Sessions),
			Error: text(a.Err), NextLogin: instant(a.Retry),
		})
	}
	for _, x := range s.Sessions {
		u.Session = append(u.Session, VigateUpstreamSession{
			Id: x.ID, Account: x.Account, Locale: x.Locale, Requests: number(x.Calls), Owned: number(x.Pins),
			LoginTime: x.Opened, LastUsed: x.Used, Ending: x.Draining,
		})
	}
	return u
}
