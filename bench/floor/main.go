// Command floor is a bare net/http server that does the minimum for an authenticated read: it looks
// up the token of a header in a map and writes a fixed response. Over VI JSON the response has as many bytes
// as vigate's, with the same header lines. Its listeners have the same settings as vigate's. The benchmark
// uses it as the upper bound of what is possible.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"log"
	"math/big"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Token is the token that the benchmark sends.
const token = "0123456789abcdef0123456789abcdef01234567"

func main() {
	plain := flag.String("plain", "", "address of the listener without TLS")
	secure := flag.String("tls", "", "address of the listener with TLS")
	size := flag.Int("size", 450, "size of the body in bytes")
	flag.Parse()
	log.Fatal(serve(*plain, *secure, *size))
}

func serve(plain, secure string, size int) error {
	cert, err := certificate()
	if err != nil {
		return err
	}
	h := handler(size)
	failed := make(chan error, 2)
	listen := func(address string, conf *tls.Config) error {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		s := &http.Server{
			Handler: h, TLSConfig: conf,
			ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 902 * time.Second,
			MaxHeaderBytes: 64 << 10,
		}
		go func() {
			if conf != nil {
				failed <- s.ServeTLS(l, "", "")
			} else {
				failed <- s.Serve(l)
			}
		}()
		return nil
	}
	if err := listen(plain, nil); err != nil {
		return err
	}
	if err := listen(secure, &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		ClientAuth: tls.RequestClientCert, Certificates: []tls.Certificate{cert},
	}); err != nil {
		return err
	}
	return <-failed
}

func handler(size int) http.Handler {
	sessions := map[string]bool{token: true}
	for i := range 999 {
		sessions[fmt.Sprintf("%040x", i)] = true
	}
	body := []byte(`"` + strings.Repeat("x", max(size-2, 0)) + `"`)
	length := []string{strconv.Itoa(len(body))}
	noStore, noSniff, contentJSON := []string{"no-store"}, []string{"nosniff"}, []string{"application/json"}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !sessions[r.Header.Get("vmware-api-session-id")] {
			http.Error(w, "who are you", http.StatusInternalServerError)
			return
		}
		h := w.Header()
		h["Cache-Control"], h["X-Content-Type-Options"] = noStore, noSniff
		h["Content-Type"], h["Content-Length"] = contentJSON, length
		_, _ = w.Write(body)
	})
}

// certificate creates a certificate of the kind that vigate generates.
func certificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
