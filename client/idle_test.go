package client

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// withOptions makes the fake server have an option manager, which answers with the given options in JSON.
func (f *fakeServer) withOptions(options string) {
	f.on("GET ServiceInstance.content", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, `{"_typeName":"ServiceContent","rootFolder":{"_typeName":"ManagedObjectReference","type":"Folder",`+
			`"value":"group-d1"},"setting":{"_typeName":"ManagedObjectReference","type":"OptionManager",`+
			`"value":"settings"},"sessionManager":{"_typeName":"ManagedObjectReference","type":"SessionManager",`+
			`"value":"`+sessionManagerID+`"},"about":{"_typeName":"AboutInfo","apiType":"VirtualCenter"}}`)
	})
	f.on("POST OptionManager.QueryOptions", func(w http.ResponseWriter, _ *http.Request) { reply(w, options) })
}

func TestTheIdleTimeoutIsAskedWhereItIs(t *testing.T) {
	t.Parallel()
	option := func(value string) string {
		return `[{"_typeName":"OptionValue","key":"config.vmacore.soap.sessionTimeout","value":` + value + `}]`
	}
	const limits = "GET VigateSessions.limits"
	for name, c := range map[string]struct {
		limits, options string // answers; none if empty
		want            time.Duration
	}{
		"vigate": {`{"_typeName":"VigateSessionLimits","idleSeconds":90}`, option(`{"_typeName":"int","_value":5}`),
			90 * time.Second},
		"vCenter":           {"", option(`{"_typeName":"int","_value":120}`), 2 * time.Hour},
		"a longer number":   {"", option(`{"_typeName":"long","_value":15}`), 15 * time.Minute},
		"a text":            {"", option(`{"_typeName":"string","_value":"90s"}`), 90 * time.Second},
		"no end":            {"", option(`{"_typeName":"int","_value":0}`), 0},
		"no time":           {"", option(`{"_typeName":"string","_value":"soon"}`), 0},
		"no such option":    {"", `[]`, 0},
		"no option manager": {"", "", 0},
	} {
		f := newFake()
		if c.limits != "" {
			f.on(limits, func(w http.ResponseWriter, _ *http.Request) { reply(w, c.limits) })
		}
		if c.options != "" {
			f.withOptions(c.options)
		}
		client := start(t, f, nil)
		login(t, client)
		if got, err := client.IdleTimeout(t.Context()); got != c.want || (err == nil) != (c.want > 0) {
			t.Errorf("%s: %v, %v; want %v", name, got, err, c.want)
		}
	}
}

func TestAKeepAliveWithoutAnIntervalCallsThreeTimesInTheIdleTimeout(t *testing.T) {
	for name, c := range map[string]struct {
		limits string
		within time.Duration
		calls  int
	}{
		"90 seconds":     {`{"_typeName":"VigateSessionLimits","idleSeconds":90}`, 15 * time.Minute, 30},
		"a day":          {`{"_typeName":"VigateSessionLimits","idleSeconds":86400}`, time.Hour, 6},
		"it is not told": {"", time.Hour, 6},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			if c.limits != "" {
				f.on("GET VigateSessions.limits", func(w http.ResponseWriter, _ *http.Request) { reply(w, c.limits) })
			}
			client := startInProcess(t, f, nil)
			login(t, client)
			if _, err := client.KeepAlive(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			at(c.within + time.Second)
			if n := f.count(tickOp); n != c.calls {
				t.Errorf("%s: %d calls within %v, want %d", name, n, c.within, c.calls)
			}
			client.Close()
			synctest.Wait()
		})
	}
}
