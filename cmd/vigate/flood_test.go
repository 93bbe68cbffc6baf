package main

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

const collectorPath = "PropertyCollector/propertyCollector/"

// servesOthers checks that another user can log in and read during a flood.
func (s *scene) servesOthers(name string) {
	s.t.Helper()
	token, key := s.loginAs(name, "a good long password")
	if a := s.must(token, sm+"currentSession", "GET"); a.member("key") != key {
		s.t.Errorf("got %d %s", a.status, a.body)
	}
	s.must(token, sm+"message", "GET")
	s.must(token, sm+"Logout", "")
}

// flooded returns a scene with two users: ann, who sends the flood, and bob, who must still be
// served.
func flooded(t *testing.T) (_ *scene, ann, key string) {
	t.Helper()
	s := newScene(t, nil)
	for _, name := range []string{"ann", "bob"} {
		s.user(name, "a good long password", roleReadOnly)
	}
	ann, key = s.loginAs("ann", "a good long password")
	return s, ann, key
}

func TestAFloodOfWaitsDoesNotBlockOtherUsers(t *testing.T) {
	t.Parallel()
	s, ann, key := flooded(t)
	s.must(ann, collectorPath+"CreateFilter", `{"spec":{"_typeName":"PropertyFilterSpec",
		"propSet":[{"_typeName":"PropertySpec","type":"SessionManager","pathSet":["defaultLocale"]}],
		"objectSet":[{"_typeName":"ObjectSpec",
			"obj":{"_typeName":"ManagedObjectReference","type":"SessionManager","value":"SessionManager"}}]},
		"partialUpdates":false}`)
	version := s.must(ann, collectorPath+"CheckForUpdates", `{"version":""}`).member("version")
	var waits sync.WaitGroup
	var held, refused atomic.Int64
	const calls = 200
	for range calls {
		waits.Go(func() {
			switch a := s.call(ann, collectorPath+"WaitForUpdatesEx",
				`{"version":"`+version+`"}`); a.member("_typeName") {
			case "LimitExceeded":
				refused.Add(1)
			case "NotAuthenticated":
				held.Add(1)
			default:
				t.Errorf("got %d %s", a.status, a.body)
			}
		})
	}
	eventually(t, "all calls past the bound are refused", func() bool { return refused.Load() == calls-64 })
	s.servesOthers("bob")
	s.must(s.admin, sm+"TerminateSession", `{"sessionId":["`+key+`"]}`)
	waits.Wait()
	if held.Load() != 64 {
		t.Errorf("%d calls waited", held.Load())
	}
}

// traversal returns a request that goes from each view to every view, with the given number of
// traversals.
func traversal(views []string, traversals int) string {
	var steps []string
	for i := range traversals {
		steps = append(steps, fmt.Sprintf(`{"_typeName":"TraversalSpec","name":"t%d","type":"ListView","path":"view"}`,
			i))
	}
	return fmt.Sprintf(`{"specSet":[{"_typeName":"PropertyFilterSpec",
		"propSet":[{"_typeName":"PropertySpec","type":"SessionManager","pathSet":["message"]}],
		"objectSet":[{"_typeName":"ObjectSpec","obj":%s,"selectSet":[
		{"_typeName":"TraversalSpec","name":"all","type":"ListView","path":"view","selectSet":[%s]}]}]}]}`,
		views[0], strings.Join(steps, ","))
}

func TestAFloodOfTraversalsDoesNotBlockOtherUsers(t *testing.T) {
	t.Parallel()
	s, ann, _ := flooded(t)
	var views []string
	for range 120 {
		views = append(views, s.must(ann, "ViewManager/ViewManager/CreateListView", `{}`).body)
	}
	for _, v := range views {
		_, id, _ := strings.Cut(v, `"value":"`)
		id, _, _ = strings.Cut(id, `"`)
		s.must(ann, "ListView/"+id+"/ModifyListView", `{"add":[`+strings.Join(views, ",")+`]}`)
	}
	body := traversal(views, 120)
	var flood sync.WaitGroup
	var over atomic.Bool
	var refused atomic.Int64
	for range 12 {
		flood.Go(func() {
			for !over.Load() {
				switch a := s.call(ann, collectorPath+"RetrieveProperties", body); {
				case a.status == 500 && a.member("_typeName") == "InvalidArgument":
					refused.Add(1)
				case a.status != 503:
					t.Errorf("got %d %s", a.status, a.body)
				}
			}
		})
	}
	eventually(t, "a request that visits too much is refused", func() bool { return refused.Load() > 0 })
	for range 5 {
		s.servesOthers("bob")
	}
	over.Store(true)
	flood.Wait()
}

func TestAFloodOfObjectsDoesNotBlockOtherUsers(t *testing.T) {
	t.Parallel()
	s, ann, key := flooded(t)
	body := `{"filter":{"_typeName":"EventFilterSpec","eventTypeId":["` + strings.Repeat("x", 900_000) + `"]}}`
	n := 0
	for ; n < 1000; n++ {
		a := s.call(ann, eventPath+"CreateCollectorForEvents", body)
		if a.member("_typeName") == "LimitExceeded" {
			break
		}
		if a.status != 200 {
			t.Fatalf("got %d %s", a.status, a.body)
		}
	}
	if n == 0 || n > 18 { // 16 MiB
		t.Errorf("%d collectors with a filter of 900 KB were made", n)
	}
	s.servesOthers("bob")
	s.must(s.admin, sm+"TerminateSession", `{"sessionId":["`+key+`"]}`)
	if held, sessions := s.API.Ledger(); sessions != 0 {
		t.Errorf("%v of %d sessions is left", held, sessions)
	}
}
