// Command proxy is a bare reverse proxy: httputil.ReverseProxy, and nothing else. Its listener and its connections
// to the server behind it have the settings of vigate's. The benchmark of the gateway uses it as the floor.
package main

import (
	"flag"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

func main() {
	address := flag.String("plain", "", "address of the listener without TLS")
	upstream := flag.String("upstream", "", "address of the server behind")
	flag.Parse()
	log.Fatal(serve(*address, *upstream))
}

func serve(address, upstream string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	s := &http.Server{
		Handler:           proxy(upstream),
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 902 * time.Second,
		MaxHeaderBytes: 64 << 10,
	}
	return s.Serve(l)
}

func proxy(upstream string) http.Handler {
	p := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: upstream})
	p.Transport = &http.Transport{
		DisableCompression: true, MaxIdleConns: 1024, MaxIdleConnsPerHost: 1024, IdleConnTimeout: time.Minute,
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Otherwise the server closes the request's body when the answer begins, and an answer that comes very
		// soon breaks off: the transport has not seen the end of the body yet. It is no error of this server.
		_ = http.NewResponseController(w).EnableFullDuplex()
		p.ServeHTTP(w, r)
	})
}
