package matrix

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/binding"
)

// interrupted is a client that gets an answer in parts.
type interrupted struct {
	*httptest.ResponseRecorder
	writes, bytes int
	// after is called when the first part has come.
	after func()
}

func (r *interrupted) Write(p []byte) (int, error) {
	n, err := r.ResponseRecorder.Write(p)
	r.bytes += n
	if r.writes++; r.writes == 1 {
		r.after()
	}
	return n, err
}

// long are rows whose answers are long in a world with many sessions.
func (w *world) long() []listing {
	spec := []types.PropertyFilterSpec{{
		PropSet:   []types.PropertySpec{{Type: "SessionManager", PathSet: []string{"sessionList"}}},
		ObjectSet: []types.ObjectSpec{{Obj: w.ref("SessionManager")}},
	}}
	collector := w.ref("PropertyCollector")
	return []listing{
		{w.ref("SessionManager"), "sessionList", nil},
		{w.ref("AuthorizationManager"), "privilegeList", nil},
		{w.ref("EventManager"), "QueryEvents", &types.QueryEventsRequestType{Filter: types.EventFilterSpec{}}},
		{collector, "RetrieveProperties", &types.RetrievePropertiesRequestType{SpecSet: spec}},
		{collector, "RetrievePropertiesEx", &types.RetrievePropertiesExRequestType{SpecSet: spec}},
	}
}

type listing struct {
	on   reference
	name string
	args any
}

// A client that reads slowly gets no more of a list when its session has ended.
func TestALongResponseStopsWhenItsSessionEnds(t *testing.T) {
	w := newWorld(t)
	many := w.user("many")
	w.permit(many, -1)
	for range 900 {
		w.login(many)
	}
	for _, way := range bindings {
		for _, r := range w.long() {
			t.Run(way.name+" "+r.name, func(t *testing.T) {
				whole := w.part(t, way, r, w.login(many), nil)
				if whole.bytes < 2*binding.FlushAt {
					t.Fatalf("an answer of %d bytes is too short", whole.bytes)
				}
				token := w.login(many)
				key := w.key(token)
				got := w.part(t, way, r, token, func() { w.terminate(key) })
				if got.writes > 1 || got.bytes >= whole.bytes {
					t.Errorf("%d parts, %d of about %d bytes", got.writes, got.bytes, whole.bytes)
				}
				if !got.broken {
					t.Error("the client takes a part for the whole")
				}
			})
		}
	}
}

// part makes the call, and has after called when a part of the answer has come.
func (w *world) part(t *testing.T, way wireBinding, r listing, token string, after func()) (got struct {
	*interrupted
	broken bool
}) {
	t.Helper()
	if after == nil {
		after = func() {}
	}
	got.interrupted = &interrupted{ResponseRecorder: httptest.NewRecorder(), after: after}
	w.to = got.interrupted
	defer func() {
		w.to = nil
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler: //nolint:errorlint // the very value is what net/http looks for
			got.broken = true
		default:
			panic(p)
		}
	}()
	_, err := way.call(w, w.handler(), token, r.on, r.name, r.args)
	if err != nil {
		t.Fatalf("%.200v", err)
	}
	return got
}
