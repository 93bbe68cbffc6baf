package xmlsig_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/xmlsig"
)

func repeated(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func TestADocumentOverALimitOrOfAnotherFormIsRefused(t *testing.T) {
	for what, document := range map[string]string{
		"256 KiB":                  "<a>" + strings.Repeat("x", xmlsig.MaxBytes) + "</a>",
		"depth 33":                 strings.Repeat("<a>", 33) + strings.Repeat("</a>", 33),
		"depth 100,000":            strings.Repeat("<a>", 30_000) + strings.Repeat("</a>", 30_000),
		"1,001 elements":           "<a>" + strings.Repeat("<b/>", 1000) + "</a>",
		"33 attributes":            "<a " + repeated(` a%d=""`, 33) + "/>",
		"20,000 attributes":        "<a " + repeated(` a%d=""`, 20_000) + "/>",
		"17 declarations":          "<a " + repeated(` xmlns:n%d="urn:x"`, 17) + "/>",
		"65 declarations in scope": declared(5, 13) + "x" + strings.Repeat("</a>", 5),
		"namespace storm": "<a " + repeated(` xmlns:n%d="urn:x"`, 2000) + ">" +
			strings.Repeat("<b/>", 900) + "</a>",
		"comment":                            "<a>administr<!-- -->ator</a>",
		"comment outside":                    "<a/><!-- x -->",
		"CDATA section":                      "<a><![CDATA[x]]></a>",
		"processing instruction":             "<a><?x y?></a>",
		"processing instruction outside":     "<?x y?><a/>",
		"document type":                      "<!DOCTYPE a><a/>",
		"entities":                           `<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`,
		"entity without a declaration":       "<a>&b;</a>",
		"second root":                        "<a/><b/>",
		"text after the root":                "<a/>b",
		"no root":                            "  ",
		"nothing":                            "",
		"not closed":                         "<a><b></a>",
		"invalid UTF-8":                      "<a>\xff</a>",
		"UTF-16":                             `<?xml version="1.0" encoding="UTF-16"?><a/>`,
		"Latin-1":                            `<?xml version="1.0" encoding="iso-8859-1"?><a/>`,
		"character 0":                        "<a>&#0;</a>",
		"prefix not declared":                "<p:a/>",
		"attribute's prefix":                 `<a p:b="1"/>`,
		"repeated attribute":                 `<a b="1" b="2"/>`,
		"repeated under another prefix":      `<a xmlns:p="urn:x" xmlns:q="urn:x" p:b="1" q:b="2"/>`,
		"repeated declaration":               `<a xmlns:p="urn:x" xmlns:p="urn:y"/>`,
		"repeated id":                        `<a><b Id="x"/><c xmlns:p="urn:x" p:ID="x"/></a>`,
		"two ids":                            `<a xmlns:p="urn:x" p:ID="x" ID="y"/>`,
		"relative namespace":                 `<a xmlns:p="1"/>`,
		"relative default namespace":         `<a xmlns="x/y"/>`,
		"empty namespace of a prefix":        `<a xmlns:p=""/>`,
		"reserved prefix":                    `<a xmlns:xml="urn:x"/>`,
		"reserved prefix xmlns":              `<a xmlns:xmlns="urn:x"/>`,
		"reserved namespace":                 `<a xmlns:p="http://www.w3.org/XML/1998/namespace"/>`,
		"reserved default namespace":         `<a xmlns="http://www.w3.org/2000/xmlns/"/>`,
		"attribute that begins with a colon": `<a :b="1"/>`,
		"element that begins with a colon":   `<:a/>`,
		"two colons":                         `<a xmlns:b="urn:x" b:c:d=""/>`,
	} {
		_, err := xmlsig.Parse([]byte(document))
		if !errors.Is(err, xmlsig.ErrDocument) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// declared returns start tags, each of which declares namespaces.
func declared(tags, each int) string {
	var b strings.Builder
	for i := range tags {
		b.WriteString("<a")
		for j := range each {
			fmt.Fprintf(&b, ` xmlns:n%d="urn:x"`, i*each+j)
		}
		b.WriteString(">")
	}
	return b.String()
}

func TestADocumentAtTheLimitsIsRead(t *testing.T) {
	for what, document := range map[string]string{
		"size":  "<a>" + strings.Repeat("x", xmlsig.MaxBytes-len("<a></a>")) + "</a>",
		"depth": strings.Repeat("<a>", 32) + strings.Repeat("</a>", 32),
		"elements": `<?xml version="1.0" encoding="UTF-8"?>` + "\n<a>" + strings.Repeat("<b></b>",
			999) + "</a>\n",
		"attributes":                 "<a " + repeated(` a%d=""`, 32) + "/>",
		"declarations of an element": "<a " + repeated(` xmlns:n%d="urn:x"`, 16) + "/>",
		"declarations in scope":      declared(4, 16) + strings.Repeat("</a>", 4),
		// Identity providers declare namespaces on every value of an attribute.
		"declarations side by side": "<a>" + strings.Repeat(`<b xmlns:xs="urn:x" xmlns:xsi="urn:y"/>`, 900) + "</a>",
		"empty ids":                 `<a><b Id=""/><b Id=""/></a>`,
	} {
		if _, err := xmlsig.Parse([]byte(document)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAnElementShowsNamesByNamespace(t *testing.T) {
	d, err := xmlsig.Parse([]byte(`<p:a xmlns:p="urn:p" xmlns="urn:d" b="1" p:b="2" q:b="3" xmlns:q="urn:q"> <c/><` +
		`d xmlns=""/>` +
		`<e>x&amp;<f/></e><g>&lt;&#65;</g></p:a>`))
	if err != nil {
		t.Fatal(err)
	}
	a := d.Root()
	if !a.Is("urn:p", "a") || a.Is("urn:d", "a") || a.Name() != "a" || a.Attribute("", "b") != "1" ||
		a.Attribute("urn:p", "b") != "2" || a.Attribute("urn:q", "b") != "3" || a.Attribute("urn:d", "b") != "" {
		t.Error("the root is read wrongly")
	}
	if a.Only("b") {
		t.Error("attributes with a prefix are taken for attributes without one")
	}
	children, ok := a.Children()
	if !ok || len(children) != 4 || !children[0].Is("urn:d", "c") || !children[1].Is("", "d") {
		t.Fatal("the children are read wrongly")
	}
	if _, ok := children[2].Children(); ok {
		t.Error("text beside elements is passed over")
	}
	if _, ok := children[2].Text(); ok {
		t.Error("an element is taken for text")
	}
	if text, ok := children[3].Text(); !ok || text != "<A" {
		t.Errorf("text %q", text)
	}
	if uri, ok := children[3].Namespace("q"); !ok || uri != "urn:q" {
		t.Errorf("prefix q is %q", uri)
	}
	if _, ok := children[3].Namespace("r"); ok {
		t.Error("a prefix that nothing declares has a namespace")
	}
}

// The errors may be logged, so they must not contain what a stranger sent.
func TestErrorsContainNothingOfTheInput(t *testing.T) {
	for _, document := range []string{"<secret1>", "<a>&secret1;</a>", `<a xmlns:secret1="secret1"/>`, "<secret1:a/>",
		"<a secret1></a>"} {
		if _, err := xmlsig.Parse([]byte(document)); err == nil || strings.Contains(err.Error(), "secret1") {
			t.Errorf("%s: %v", document, err)
		}
	}
}

// Canonicalization copies the namespaces in scope for each element. The worst document within the
// limits must not cost much memory.
func TestTheWorstDocumentWithinTheLimitsCostsLittle(t *testing.T) {
	key := newSigner(t, "issuer")
	worst := `<a ID="_12345678"` + repeated(` xmlns:n%d="urn:x"`, 16) + "><i>x</i>" + declared(3, 16) +
		strings.Repeat("<b/>", 900) + strings.Repeat("</a>", 4)
	signed, err := key.SignEnveloped([]byte(worst), "")
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = verify(signed, key.Chain...)
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; err != nil || took > 64<<20 {
		t.Errorf("%v, %d bytes", err, took)
	}
}
