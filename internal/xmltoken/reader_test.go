package xmltoken_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/xmltoken"
)

const document = `<?xml version="1.0"?>
<list xmlns="urn:list" xmlns:p="urn:other">
	<item p:key="1">a&amp;b</item>
	<item><deep><deeper/>text</deep></item>%s
	<last/>
</list>
`

// list reads a document like a caller: it returns the text of each item. If an item contains
// elements, list skips them and returns the item's source.
func list(message string, o xmltoken.Options) (items []string, fast bool, err error) {
	var r xmltoken.Reader
	r.Start([]byte(message), o)
	for {
		t, err := r.Next()
		if err != nil {
			return nil, r.Fast(), err
		}
		if t.Kind == xmltoken.StartTag && t.Is("urn:list", "list") {
			break
		}
	}
	for {
		t, err := r.Child()
		if err != nil {
			return nil, r.Fast(), err
		}
		if t == nil {
			return items, r.Fast(), r.End()
		}
		key := string(t.Attribute("urn:other", "key"))
		begin := t.Begin
		text, err := r.Text()
		switch {
		case errors.Is(err, xmltoken.ErrNotText):
			// Text has read the start tag of the inner element.
			if err := errors.Join(r.Skip(), r.Skip()); err != nil {
				return nil, r.Fast(), err
			}
			text = []byte(message[begin:r.Offset()])
		case err != nil:
			return nil, r.Fast(), err
		}
		items = append(items, key+":"+string(text))
	}
}

func TestADocumentIsReadByItsElements(t *testing.T) {
	for odd, fast := range map[string]bool{
		"":                            true,
		"<!-- a comment -->":          false,
		`<item xmlns:s="urn:s"/>`:     false,
		`<item xmlns:s="urn:t"/>`:     true,
		"<item>a<![CDATA[<]]></item>": false,
		"<item>&#233;</item>":         true,
	} {
		message := fmt.Sprintf(document, odd)
		items, wasFast, err := list(message, xmltoken.Options{Signed: []string{"urn:s"}})
		if err != nil || wasFast != fast {
			t.Errorf("%s: %v; fast: %v", odd, err, wasFast)
			continue
		}
		want := []string{"1:a&b", ":<item><deep><deeper/>text</deep></item>"}
		if strings.HasPrefix(odd, "<item") {
			var x struct {
				Text string `xml:",chardata"`
			}
			if err := xml.Unmarshal([]byte(odd), &x); err != nil {
				t.Fatal(err)
			}
			want = append(want, ":"+x.Text)
		}
		if want = append(want, ":"); fmt.Sprint(items) != fmt.Sprint(want) {
			t.Errorf("%s: %q, want %q", odd, items, want)
		}
	}
}

func TestADocumentThatIsNotWellFormedIsAnErrorThatDoesNotRepeatIt(t *testing.T) {
	for _, message := range []string{
		strings.Replace(document, "<last/>", "secret", 1),
		strings.Replace(document, "<last/>", "<secret>", 1),
		strings.Replace(document, "<last/>", "&secret;", 1),
		"secret" + document,
		document[:len(document)-9],
	} {
		message = fmt.Sprintf(message, "")
		_, _, err := list(message, xmltoken.Options{})
		if _, ok := errors.AsType[*xmltoken.Error](err); !ok || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", message, err)
		}
	}
	for _, more := range []string{"secret", "<secret/>", "<![CDATA[ secret]]>"} {
		_, _, err := list(fmt.Sprintf(document, "")+more, xmltoken.Options{})
		if !errors.Is(err, xmltoken.ErrMore) {
			t.Errorf("%s after the document: %v", more, err)
		}
	}
	if _, _, err := list("", xmltoken.Options{}); !errors.Is(err, io.EOF) {
		t.Errorf("an empty message: %v", err)
	}
}
