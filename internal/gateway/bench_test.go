package gateway_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
)

const readOne = `<RetrievePropertiesEx xmlns="urn:vim25"><_this type="PropertyCollector">propertyCollector</_this>` +
	`<specSet><propSet><type>VirtualMachine</type><pathSet>name</pathSet></propSet><objectSet>` +
	`<obj type="VirtualMachine">VM</obj></objectSet></specSet><options/></RetrievePropertiesEx>`

// send posts an envelope again and again, with 16 connections.
func send(b *testing.B, target, cookie, body string, size *int64) {
	b.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
	defer transport.CloseIdleConnections()
	b.SetParallelism(8) // with two processors, 16 connections
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, err := http.NewRequest(http.MethodPost, target, strings.NewReader(body))
			if err != nil {
				b.Error(err)
				return
			}
			r.Header.Set("Content-Type", "text/xml; charset=utf-8")
			r.Header.Set("SOAPAction", "urn:vim25/8.0.3.0")
			r.Header.Set("Cookie", "vmware_soap_session="+cookie)
			a, err := transport.RoundTrip(r)
			if err != nil {
				b.Error(err)
				return
			}
			n, err := io.Copy(io.Discard, a.Body)
			_ = a.Body.Close()
			if err != nil || a.StatusCode != http.StatusOK || n < 400 {
				b.Error(a.StatusCode, n, err)
				return
			}
			*size = n
		}
	})
}

// BenchmarkRead compares a read of one property with one through a bare proxy.
func BenchmarkRead(b *testing.B) {
	d := newDouble(b)
	d.server.Close()
	d.server = &httptest.Server{URL: d.inner.String(), Config: &http.Server{}}
	s := stage(b, d, "")
	c := s.login(0)
	body := envelope(strings.Replace(readOne, "VM", c.machine("DC0_H0_VM0").Value, 1))
	proxy := httputil.NewSingleHostReverseProxy(d.inner)
	proxy.Transport = &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
	bare := httptest.NewServer(proxy)
	defer bare.Close()
	var size int64
	token := c.Jar.Cookies(mustURL(s.server.URL + "/sdk"))[0].Value
	b.Run("bare", func(b *testing.B) { send(b, bare.URL+"/sdk", "none", body, &size) })
	b.Run("front", func(b *testing.B) { send(b, s.server.URL+"/sdk", token, body, &size) })
}

// BenchmarkLongAnswer compares an answer of 50 MB with one through a bare proxy.
func BenchmarkLongAnswer(b *testing.B) {
	d := newDouble(b)
	long := []byte(`<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope><soapenv:Body>` +
		strings.Repeat(`<objects><obj type="VirtualMachine">vm-4711</obj><propSet><name>config.uuid</name>`+
			`<val xsi:type="xsd:string">4207e2d2-0c3b-5c47-a8b5-6a6a6a6a6a6a</val></propSet></objects>`, 290_000) +
		`</soapenv:Body></soapenv:Envelope>`)
	s := stage(b, d, "")
	c := s.login(0)
	d.set(func() {
		d.intercept = func(method string, w http.ResponseWriter, _ *http.Request) bool {
			if method == "RetrievePropertiesEx" {
				_, _ = w.Write(long)
				return true
			}
			return false
		}
	})
	body := envelope(readOne)
	u, err := url.Parse(d.server.URL)
	s.must(err)
	proxy := httputil.NewSingleHostReverseProxy(u)
	proxy.Transport = &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
	bare := httptest.NewServer(proxy)
	defer bare.Close()
	token := c.Jar.Cookies(mustURL(s.server.URL + "/sdk"))[0].Value
	var size int64
	for name, target := range map[string]string{"bare": bare.URL, "front": s.server.URL} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(long)))
			send(b, target+"/sdk", token, body, &size)
		})
	}
}
