package xmltoken

import (
	"bytes"
	"encoding/xml"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"
)

// limits are the defaults.
var limits = Limits{}.orDefault()

// attacks are messages that must not be read to their end. The key names the attack.
func attacks() map[string]string {
	in := func(s string) string { return "<a>" + s + "</a>" }
	return map[string]string{
		"entity expansion": `<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "` +
			strings.Repeat("&a;", 10) + `">]><a>&b;</a>`,
		"external entity":               `<!DOCTYPE x SYSTEM "file:///etc/passwd"><a/>`,
		"bare doctype":                  "<!DOCTYPE x><a/>",
		"entity":                        in("&b;"),
		"processing instruction":        `<?xml-stylesheet href="x"?><a/>`,
		"processing instruction inside": in("<?php x?>"),
		"declaration inside":            in(`<?xml version="1.0"?>`),
		"another encoding":              `<?xml version="1.0" encoding="UTF-16"?><a/>`,
		"XML 1.1":                       `<?xml version="1.1"?><a/>`,
		"depth":                         strings.Repeat("<a>", 100_000),
		"depth closed":                  strings.Repeat("<a>", 100_000) + strings.Repeat("</a>", 100_000),
		"attributes":                    "<a " + strings.Repeat(`a="" `, 1_000_000) + "/>",
		"namespace storm":               "<a " + strings.Repeat(`xmlns:a="" `, 100_000) + "/>",
		"nested namespaces":             strings.Repeat(`<a `+strings.Repeat(`xmlns:a="b" `, 50)+`>`, 60),
		"elements":                      in(strings.Repeat("<b/>", 600_000)),
		"comments":                      strings.Repeat("<!---->", 1_000_000) + "<a/>",
		"invalid UTF-8":                 in("\xff"),
		"a control character":           in("\x01"),
		"UTF-16":                        "\xff\xfe<\x00?\x00x\x00",
		"repeated attribute":            `<a b="1" b="2"/>`,
		"two names for one attribute":   `<a xmlns:p="u" xmlns:q="u" p:a="" q:a=""/>`,
		"cut short":                     "<a>1",
		"crossed tags":                  in("<b><c></b></c>"),
		"an open quote":                 `<a b="`,
		"an open comment":               "<!--",
		"an open section":               "<a><![CDATA[",
	}
}

// readAll reads all elements of a message and returns the first error.
func readAll(message []byte, o Options) error {
	var r Reader
	r.Start(message, o)
	if _, err := r.Next(); err != nil {
		return err
	}
	if err := r.Skip(); err != nil {
		return err
	}
	return r.End()
}

func TestAnAttackIsRefusedInBoundedTimeAndMemory(t *testing.T) {
	for name, message := range attacks() {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		err := readAll([]byte(message), Options{})
		took := time.Since(began)
		runtime.ReadMemStats(&after)
		if _, ok := errors.AsType[*Error](err); !ok {
			t.Errorf("%s: %v, want an *Error", name, err)
		}
		// TotalAlloc also counts memory that has been freed.
		if made := after.TotalAlloc - before.TotalAlloc; made > 64<<20 || took > time.Minute {
			t.Errorf("%s: %d MiB, %v", name, made>>20, took)
		}
	}
}

// bounded checks that a message does not exceed the limits as encoding/xml reads it.
func bounded(t *testing.T, message []byte) {
	t.Helper()
	r := xml.NewDecoder(bytes.NewReader(message))
	for depth := 0; ; {
		token, err := r.RawToken()
		if err != nil {
			return
		}
		switch token := token.(type) {
		case xml.StartElement:
			if depth++; depth > limits.Depth || len(token.Attr) > limits.Attributes {
				t.Fatalf("%d attributes at depth %d pass: %.300q", len(token.Attr), depth, message)
			}
		case xml.EndElement:
			depth--
		}
	}
}

func TestMessagesThatTheScanAcceptsKeepTheLimitsInTheTokenizer(t *testing.T) {
	for _, message := range attacks() {
		if Check([]byte(message), Limits{}) != nil {
			continue
		}
		bounded(t, []byte(message))
	}
	for _, ok := range []string{
		"<a>" + strings.Repeat("<b>", limits.Depth-1) + strings.Repeat("</b>", limits.Depth-1) + "</a>",
		`<a b=">" c='"<!--'/>`, `<a><!-- <b> " --><![CDATA[<b x="]]></a>`,
		"<a " + strings.Repeat(`b="c" `, limits.Attributes) + "/>",
	} {
		if err := Check([]byte(ok), Limits{}); err != nil {
			t.Errorf("%.60s: %v", ok, err)
		}
	}
}
