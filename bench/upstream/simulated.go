package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/simulator/vpx"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

// simulated is govmomi's simulator, whose sessions are counted.
type simulated struct {
	service *simulator.Service
	next    http.Handler
	calls   atomic.Int64
	before  []string // keys of the sessions that it begins with

	turn sync.Mutex // held while sessions begin or end, and guards most
	most int
}

// machines is the number of virtual machines in each resource pool. They are enough that an answer to another
// call has another machine.
const machines = 25

func newSimulated() (*simulated, error) {
	m := simulator.VPX()
	m.Machine = machines
	if err := m.Create(); err != nil {
		return nil, fmt.Errorf("make inventory: %w", err)
	}
	// Its own listener is not used, because it has none of the limits.
	m.Service.Listen = &url.URL{User: url.UserPassword("bench", "bench")}
	s := &simulated{service: m.Service, next: m.Service.NewServer().Config.Handler}
	s.before = s.sessions()
	return s, nil
}

// changes are the calls that begin or end a session.
var changes = [][]byte{[]byte("<Login "), []byte("<Logout "), []byte("<TerminateSession "), []byte("<CloneSession ")}

// ServeHTTP serves a request.
func (s *simulated) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	s.calls.Add(1)
	r.Body = io.NopCloser(bytes.NewReader(body))
	for _, c := range changes {
		if bytes.Contains(body, c) {
			s.turn.Lock()
			defer s.turn.Unlock()
			defer func() { s.most = max(s.most, len(s.sessions())) }()
			break
		}
	}
	s.next.ServeHTTP(w, r)
}

// sessions returns the keys of the sessions that clients have begun.
func (s *simulated) sessions() []string {
	res, err := methods.RetrieveProperties(context.Background(), s.service, &types.RetrieveProperties{
		This: vpx.ServiceContent.PropertyCollector,
		SpecSet: []types.PropertyFilterSpec{{
			PropSet:   []types.PropertySpec{{Type: "SessionManager", PathSet: []string{"sessionList"}}},
			ObjectSet: []types.ObjectSpec{{Obj: s.service.Context.Map.SessionManager().Self}},
		}},
	})
	if err != nil {
		panic(fmt.Sprintf("list sessions: %v", err)) // all figures would be wrong
	}
	var keys []string
	for _, o := range res.Returnval {
		for _, p := range o.PropSet {
			for _, one := range p.Val.(types.ArrayOfUserSession).UserSession {
				if !slices.Contains(s.before, one.Key) {
					keys = append(keys, one.Key)
				}
			}
		}
	}
	return keys
}

func (s *simulated) state() State {
	s.turn.Lock()
	defer s.turn.Unlock()
	return State{Calls: s.calls.Load(), Sessions: len(s.sessions()), Most: s.most}
}

func (s *simulated) endAll() error {
	s.turn.Lock()
	defer s.turn.Unlock()
	keys := s.sessions()
	if len(keys) == 0 {
		return nil
	}
	_, err := methods.TerminateSession(context.Background(), s.service, &types.TerminateSession{
		This: s.service.Context.Map.SessionManager().Self, SessionId: keys,
	})
	if err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	return nil
}
