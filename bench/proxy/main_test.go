package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestALongAnswerThatComesAtOncePassesWhole(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789"), 1_000_000)
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write(long)
	}))
	defer behind.Close()
	front := httptest.NewServer(proxy(behind.Listener.Addr().String()))
	defer front.Close()
	for range 20 {
		a, err := http.Post(front.URL, "text/xml", strings.NewReader("a request"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(a.Body)
		_ = a.Body.Close()
		if err != nil || !bytes.Equal(got, long) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	}
}
