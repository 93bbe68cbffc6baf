package upstream

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"
)

// However a session ends, its logout comes after the calls that make or end an object on it.
func TestALogoutWaitsForTheCallsThatMakeOrEndObjects(t *testing.T) {
	ways := map[string]func(*scene, *Use){
		"it is spoiled":         func(_ *scene, x *Use) { x.Done(); x.Session().Spoil(errors.New("test")) },
		"it is lost":            func(_ *scene, x *Use) { x.Session().Lost(errors.New("test")); x.Done() },
		"its client has left":   func(s *scene, x *Use) { x.Done(); s.pool("ann").End("a") },
		"the server shuts down": func(s *scene, x *Use) { x.Done(); go func() { _ = s.Drain(context.Background()) }() },
	}
	for way, end := range ways {
		t.Run(way, func(t *testing.T) {
			s := stage(t, newDouble(t), "mode: private\nmax-sessions: 2")
			x, err := s.pool("ann").Private(s.ctx(), "a")
			if err != nil {
				t.Fatal(err)
			}
			done, ok := x.Session().Begin()
			if !ok {
				t.Fatal("no call can begin on a session that lives")
			}
			out := make(chan struct{})
			s.double.on(func(method string, _ http.ResponseWriter, _ *http.Request) bool {
				if method == "Logout" {
					close(out)
				}
				return false
			})
			end(s, x)
			<-x.Session().Gone()
			select {
			case <-out:
				t.Error("the session is logged out while a call makes something on it")
			case <-time.After(50 * time.Millisecond):
			}
			done()
			<-out
			if _, ok := x.Session().Begin(); ok {
				t.Error("a call begins on a session that has ended")
			}
		})
	}
}
