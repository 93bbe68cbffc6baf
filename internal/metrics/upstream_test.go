package metrics

import (
	"errors"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/upstream"
)

func labStates() []upstream.State {
	return []upstream.State{
		{
			Name: "lab", Places: 3, Ghosts: 1, InFlight: 2, Waits: 4, Queued: 5, QueuedWaits: 6, Logins: 7, Failures: 1,
			Accounts: []upstream.AccountState{
				{Name: "ci", Sessions: 1}, {Name: "ann", PassThrough: true, Sessions: 1},
				{Name: "bob", PassThrough: true, Sessions: 1},
			},
			Sessions: []upstream.SessionState{{Pins: 2}, {Pins: 1}},
		},
		{Name: "other", Err: errors.New("down")},
	}
}

func TestUpstreamsAreShownWithoutNamesThatClientsChoose(t *testing.T) {
	r := newRecorder()
	r.Upstreams(labStates)
	r.Queued("lab", "request", 2*time.Second)
	r.Queued("unknown", "request", time.Second) // it is left out
	want(t, r,
		`vigate_upstream_up{upstream="lab"} 1`, `vigate_upstream_up{upstream="other"} 0`,
		`vigate_upstream_sessions{account="ci",upstream="lab"} 1`,
		`vigate_upstream_sessions{account="pass-through",upstream="lab"} 2`,
		`vigate_upstream_places{upstream="lab"} 3`, `vigate_upstream_ghosts{upstream="lab"} 1`,
		`vigate_upstream_queued{upstream="lab",what="wait"} 6`, `vigate_upstream_owned{upstream="lab"} 3`,
		`vigate_upstream_logins_total{upstream="lab"} 7`, `vigate_upstream_logins_failed_total{upstream="lab"} 1`,
		`vigate_upstream_queue_seconds_sum{upstream="lab",what="request"} 2`,
		`vigate_upstream_queue_seconds_count{upstream="lab",what="wait"} 0`,
	)
}
