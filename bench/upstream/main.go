// Command upstream is the server behind vigate in the benchmark of the gateway. With -light, it answers with the
// same bytes again and again, as fast as net/http can: so what is measured is vigate and not the server behind it.
// Without, it is govmomi's simulator with its default inventory: so the contents of answers can be checked.
//
// At /bench/state it says how many calls it has served and how many sessions vigate has had, and a POST to
// /bench/end ends all of these sessions, as an administrator would.
package main

import (
	"encoding/json"
	"flag"
	"log"
	"net"
	"net/http"
	"time"
)

// State is what the server has seen.
type State struct {
	Calls    int64 `json:"calls"`    // SOAP requests
	Sessions int   `json:"sessions"` // of vigate
	Most     int   `json:"most"`     // sessions of vigate at the same time
}

// behind is a server that the benchmark can ask.
type behind interface {
	http.Handler
	state() State
	endAll() error
}

func main() {
	address := flag.String("plain", "", "address of the listener without TLS")
	constant := flag.Bool("light", false, "answer with constants")
	flag.Parse()
	log.Fatal(serve(*address, *constant))
}

func serve(address string, constant bool) error {
	var b behind
	var err error
	if constant {
		b, err = newLight()
	} else {
		b, err = newSimulated()
	}
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	s := &http.Server{
		Handler:           handler(b),
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 902 * time.Second,
		MaxHeaderBytes: 64 << 10,
	}
	return s.Serve(l)
}

func handler(b behind) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", b)
	mux.HandleFunc("GET /bench/state", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(b.state()) // the benchmark may have gone
	})
	mux.HandleFunc("POST /bench/end", func(w http.ResponseWriter, _ *http.Request) {
		if err := b.endAll(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	return mux
}
