package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

const readOne = `<RetrievePropertiesEx xmlns="urn:vim25"><_this type="PropertyCollector">propertyCollector</_this>` +
	`<specSet><propSet><type>VirtualMachine</type><pathSet>name</pathSet></propSet><objectSet>` +
	`<obj type="VirtualMachine">VM</obj></objectSet></specSet><options/></RetrievePropertiesEx>`

// poster posts an envelope to one address again and again.
type poster struct {
	transport            *http.Transport
	target, cookie, body string
}

// postTo returns a poster for the address of a server.
func postTo(b *testing.B, server, cookie, body string) *poster {
	b.Helper()
	p := &poster{&http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}, server + "/sdk", cookie, body}
	b.Cleanup(p.transport.CloseIdleConnections)
	return p
}

// post posts the envelope once.
func (p *poster) post() error {
	r, err := http.NewRequest(http.MethodPost, p.target, strings.NewReader(p.body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "text/xml; charset=utf-8")
	r.Header.Set("SOAPAction", "urn:vim25/8.0.3.0")
	r.Header.Set("Cookie", "vmware_soap_session="+p.cookie)
	a, err := p.transport.RoundTrip(r)
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, a.Body)
	_ = a.Body.Close()
	if err == nil && (a.StatusCode != http.StatusOK || n == 0) {
		err = fmt.Errorf("status %d, %d bytes", a.StatusCode, n)
	}
	return err
}

// oneByOne posts over one connection.
func (p *poster) oneByOne(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if err := p.post(); err != nil {
			b.Fatal(err)
		}
	}
}

// atOnce posts over 16 connections.
func (p *poster) atOnce(b *testing.B) {
	b.SetParallelism(8) // with two processors
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := p.post(); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// bareProxy starts a bare proxy.
func bareProxy(b *testing.B, to *url.URL) *httptest.Server {
	b.Helper()
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.Transport = &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
	bare := httptest.NewServer(proxy)
	b.Cleanup(bare.Close)
	return bare
}

// constant lets the upstream answer each retrieval with the same bytes.
func (d *double) constant(answer []byte) {
	d.set(func() {
		d.intercept = func(method string, w http.ResponseWriter, _ *http.Request) bool {
			if method == "RetrievePropertiesEx" {
				w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
				_, _ = w.Write(answer)
			}
			return method == "RetrievePropertiesEx"
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
	b.Run("bare", postTo(b, bareProxy(b, d.inner).URL, "none", body).atOnce)
	b.Run("front", postTo(b, s.server.URL, c.token(), body).atOnce)
}

// BenchmarkReadOneByOne does the same with one connection, and an upstream that answers at once.
func BenchmarkReadOneByOne(b *testing.B) {
	d := newDouble(b)
	s := stage(b, d, "")
	c := s.login(0)
	d.constant([]byte(envelope(`<RetrievePropertiesExResponse xmlns="urn:vim25"><returnval><objects>` +
		`<obj type="VirtualMachine">vm-62</obj><propSet><name>name</name><val xsi:type="xsd:string">DC0_H0_VM0</val>` +
		`</propSet></objects></returnval></RetrievePropertiesExResponse>`)))
	body := envelope(strings.Replace(readOne, "VM", "vm-62", 1))
	b.Run("bare", postTo(b, bareProxy(b, mustURL(d.server.URL)).URL, "none", body).oneByOne)
	b.Run("front", postTo(b, s.server.URL, c.token(), body).oneByOne)
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
	d.constant(long)
	body := envelope(readOne)
	for _, p := range []struct {
		name string
		*poster
	}{
		{"bare", postTo(b, bareProxy(b, mustURL(d.server.URL)).URL, "none", body)},
		{"front", postTo(b, s.server.URL, c.token(), body)},
	} {
		b.Run(p.name, func(b *testing.B) {
			b.SetBytes(int64(len(long)))
			p.oneByOne(b)
		})
	}
}
