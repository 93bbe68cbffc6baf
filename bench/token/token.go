//go:build linux

// Package token measures logins by tokens and tickets. [Cost] is the processor time of a login method by
// itself. [Issuer] is a trusted issuer of the server, and [Hostile] are requests with tokens that seem to be
// the issuer's and are made to be costly.
package token

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Cost is the processor time of one login by the method that a benchmark in a package measures. root is the
// directory of the main module. It compiles the package's tests into dir, which takes a while.
//
// The figure is the difference of two runs with different numbers of logins, divided by the difference of
// the numbers. So it has neither the start of the program nor the time in which other processes run, but
// all the work of the garbage collector.
func Cost(ctx context.Context, root, dir, path, benchmark string, logins int) (time.Duration, error) {
	program := filepath.Join(dir, strings.ReplaceAll(path, "/", "-")+".test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-o", program, "./"+path)
	build.Dir, build.Stderr = root, os.Stderr
	if err := build.Run(); err != nil {
		return 0, fmt.Errorf("build benchmark of %s: %w", path, err)
	}
	var used [2]time.Duration
	for i, n := range []int{1, 1 + logins} {
		run := exec.CommandContext(ctx, program, "-test.run", "^$", "-test.bench", benchmark,
			"-test.benchtime", fmt.Sprintf("%dx", n))
		run.Dir = filepath.Join(root, path)
		out, err := run.CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("ns/op")) {
			return 0, fmt.Errorf("run %s of %s: %w\n%s", benchmark, path, err, out)
		}
		used[i] = run.ProcessState.UserTime() + run.ProcessState.SystemTime()
	}
	return (used[1] - used[0]) / time.Duration(logins), nil
}

// issuer is the name of the issuer.
const issuer = "https://idp.example/metadata"

// Issuer writes a configuration file of a server that trusts an issuer, and returns its path. Nobody has the
// issuer's key.
func Issuer(dir string) (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", fmt.Errorf("make issuer: %w", err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "issuer"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		return "", fmt.Errorf("make issuer: %w", err)
	}
	for name, text := range map[string]string{
		"issuer.pem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		"issuer.yaml": fmt.Sprintf("identity:\n  saml: [{issuer: %q, certificates: issuer.pem, "+
			"domain: saml.example}]\n", issuer),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", fmt.Errorf("make issuer: %w", err)
		}
	}
	return filepath.Join(dir, "issuer.yaml"), nil
}

// namespaces is the number of namespaces that a hostile token declares. The token has 46 kB.
const namespaces = 2000

// Hostile returns requests with a hostile token: a message of SOAP, and a header of the Automation API, in
// which the token is compressed.
func Hostile() [][]byte {
	var b strings.Builder
	fmt.Fprintf(&b, `<saml2:Assertion xmlns:saml2="urn:oasis:names:tc:SAML:2.0:assertion" ID="_1" Version="2.0"`)
	for i := range namespaces {
		fmt.Fprintf(&b, ` xmlns:n%04d="urn:n%04d"`, i, i)
	}
	fmt.Fprintf(&b, `><saml2:Issuer>%s</saml2:Issuer></saml2:Assertion>`, issuer)
	message := `<?xml version="1.0" encoding="UTF-8"?>` +
		`<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Header>` +
		`<wsse:Security xmlns:wsse="http://docs.oasis-open.org/wss/2004/01/` +
		`oasis-200401-wss-wssecurity-secext-1.0.xsd">` + b.String() + `</wsse:Security></soapenv:Header>` +
		`<soapenv:Body><LoginByToken xmlns="urn:vim25"><_this type="SessionManager">SessionManager</_this>` +
		`</LoginByToken></soapenv:Body></soapenv:Envelope>`
	return [][]byte{
		request("/sdk", "Content-Type: text/xml; charset=\"utf-8\"\r\nSOAPAction: urn:vim25/8.0.3.0\r\n", message),
		request("/api/session", "Authorization: SIGN token=\""+compressed(b.String())+"\"\r\n", ""),
	}
}

func request(path, headers, body string) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%sContent-Length: %d\r\n\r\n%s", path, headers,
		len(body), body)
}

func compressed(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(text)) // a buffer has no errors
	_ = z.Close()
	return base64.StdEncoding.EncodeToString(b.Bytes())
}
