// Command peer runs govmomi's simulator with an empty inventory. Its listener has the same settings
// as vigate's. The benchmark compares vigate with it.
package main

import (
	"flag"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/vmware/govmomi/simulator"
)

func main() {
	address := flag.String("plain", "", "address of the listener without TLS")
	flag.Parse()
	log.Fatal(serve(*address))
}

func serve(address string) error {
	m := simulator.VPX()
	m.Datacenter, m.Host, m.Cluster, m.ClusterHost, m.Machine, m.Datastore, m.Portgroup = 0, 0, 0, 0, 0, 0, 0
	if err := m.Create(); err != nil {
		return err
	}
	// The simulator's own listener is not used because it has none of the limits.
	mux := m.Service.NewServer().Config.Handler
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	s := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 902 * time.Second,
		MaxHeaderBytes: 64 << 10,
	}
	return s.Serve(l)
}
