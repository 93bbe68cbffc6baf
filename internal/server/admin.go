package server

import (
	"fmt"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"

	runtime "runtime/pprof"
)

// adminHandler serves metrics, if there are any, and profiles if the client is on this machine: they cost time, and
// tell how the program was started.
func adminHandler(metrics http.Handler, local bool) http.Handler {
	mux := http.NewServeMux()
	if metrics != nil {
		mux.Handle("GET /metrics", metrics)
	}
	if !local {
		return mux
	}
	mux.HandleFunc("/debug/pprof/{$}", listProfiles)
	mux.HandleFunc("/debug/pprof/{name}", func(w http.ResponseWriter, r *http.Request) {
		pprof.Handler(r.PathValue("name")).ServeHTTP(w, r)
	})
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// listProfiles names the profiles, in place of net/http/pprof's page of HTML.
func listProfiles(w http.ResponseWriter, _ *http.Request) {
	names := []string{"cmdline", "profile", "symbol", "trace"}
	for _, p := range runtime.Profiles() {
		names = append(names, p.Name())
	}
	slices.Sort(names)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, strings.Join(names, "\n"))
}
