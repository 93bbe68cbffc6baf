package soap_test

import (
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/vectors"
	"github.com/vigate/vigate/internal/vim/vimtest"
	"github.com/vigate/vigate/internal/wsdl"
)

// answers keeps the answers of a server, to validate them with another program.
type answers struct{ all []answer }

type answer struct {
	call vectors.Call
	body string // the element in the Body or, of a fault, in the detail
}

func (a *answers) add(c vectors.Call, w *httptest.ResponseRecorder) {
	body := w.Body.String()
	_, body, _ = strings.Cut(body, "<soapenv:Body>")
	body, _, _ = strings.Cut(body, "</soapenv:Body>")
	if _, detail, ok := strings.Cut(body, "<detail>"); ok {
		body, _, _ = strings.Cut(detail, "</detail>")
	}
	a.all = append(a.all, answer{c, strings.TrimSpace(body)})
}

// fetchResponse is the answer to Fetch, which is in no description.
const fetchResponse = `<element name="FetchResponse"><complexType><sequence>
<element name="returnval" type="xsd:anyType" minOccurs="0"/></sequence></complexType></element>`

// areValid checks that the answers conform to the schemas that the server has for its clients.
func (a *answers) areValid(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	d, err := wsdl.New(vimtest.APIVersion, vectors.NewWorld(t).API.Objects())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range wsdl.Names() {
		write(name, d.File(name).Plain)
	}
	// The elements of faults are in the schema inside of the WSDL.
	_, schema, _ := strings.Cut(string(d.File("vim.wsdl").Plain), "<types>")
	schema, _, _ = strings.Cut(schema, "</schema>")
	args := []string{"--noout", "--schema", write("all.xsd", []byte(schema+fetchResponse+"</schema>"))}
	seen := map[string]bool{}
	for i, x := range a.all {
		if x.body == "" || seen[x.body] {
			continue // a refusal without a detail
		}
		seen[x.body] = true
		end := strings.IndexAny(x.body, " />")
		text := x.body[:end] + ` xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="` + xsi + `"` + x.body[end:]
		args = append(args, write(fmt.Sprintf("%s.%s-%d.xml", x.call.Object.Type, x.call.Name, i), []byte(text)))
	}
	if len(seen) < 100 {
		t.Fatalf("%d answers", len(seen))
	}
	out, err := exec.CommandContext(t.Context(), "xmllint", args...).CombinedOutput()
	if err == nil {
		return
	}
	shown := 0
	for line := range strings.Lines(string(out)) {
		if !strings.HasSuffix(strings.TrimSpace(line), "validates") && shown < 20 {
			shown++
			t.Error(strings.TrimPrefix(line, dir+"/"))
		}
	}
	t.Errorf("xmllint: %v", err)
}
