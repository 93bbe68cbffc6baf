package translation_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/translation"
	"github.com/vigate/vigate/internal/vim"
)

// canned is a front that answers with the same bytes.
type canned struct {
	content types.ServiceContent
	answer  []byte
}

func (c *canned) Content(context.Context) (*types.ServiceContent, *vim.Fault) { return &c.content, nil }

func (c *canned) Forward(context.Context, *translation.Call) (*translation.Answer, *vim.Fault) {
	return &translation.Answer{Status: 200, Body: io.NopCloser(bytes.NewReader(c.answer))}, nil
}

// discard counts the bytes of an answer.
type discard struct {
	header http.Header
	length int
}

func (d *discard) Header() http.Header { return d.header }
func (d *discard) WriteHeader(int)     {}
func (d *discard) Write(p []byte) (int, error) {
	d.length += len(p)
	return len(p), nil
}

func benchmark(b *testing.B, method, path, body, answer string) {
	h := handler(b, &canned{answers("").content, []byte(answer)})
	w := &discard{header: http.Header{}}
	b.ReportAllocs()
	b.SetBytes(int64(len(answer)))
	for b.Loop() {
		clear(w.header)
		h.ServeHTTP(w, httptest.NewRequest(method, base+path, strings.NewReader(body)))
	}
}

func BenchmarkReadOfAProperty(b *testing.B) {
	benchmark(b, "GET", "VirtualMachine/vm-1/name", "", envelope("RetrievePropertiesEx",
		`<returnval><objects><obj type="VirtualMachine">vm-1</obj><propSet><name>name</name>`+
			`<val xsi:type="xsd:string">DC0_H0_VM0</val></propSet></objects></returnval>`))
}

func BenchmarkReconfigure(b *testing.B) {
	benchmark(b, "POST", "VirtualMachine/vm-1/ReconfigVM_Task", `{"spec":{"_typeName":"VirtualMachineConfigSpec",`+
		`"name":"n","memoryMB":64,"deviceChange":[{"_typeName":"VirtualDeviceConfigSpec","operation":"add","device":`+
		`{"_typeName":"VirtualE1000","key":-1,"addressType":"generated"}}]}}`,
		envelope("ReconfigVM_Task", `<returnval type="Task">task-1</returnval>`))
}

// Answers of a hundred kilobytes, and of some megabytes.
func BenchmarkALongAnswer(b *testing.B) {
	for name, n := range map[string]int{"short": 300, "long": 10_000} {
		b.Run(name, func(b *testing.B) { benchmarkEvents(b, n) })
	}
}

func benchmarkEvents(b *testing.B, n int) {
	b.Helper()
	benchmark(b, "POST", "EventManager/EventManager/QueryEvents", `{"filter":{"_typeName":"EventFilterSpec"}}`,
		envelope("QueryEvents", strings.Repeat(`<returnval xsi:type="VmPoweredOnEvent"><key>17</key>`+
			`<chainId>17</chainId>`+
			`<createdTime>2026-01-02T03:04:05.678901Z</createdTime><userName>VSPHERE.LOCAL\Administrator</userName>`+
			`<vm><name>DC0_H0_VM0</name><vm type="VirtualMachine">vm-1</vm></vm><fullFormattedMessage>Powered on`+
			`</fullFormattedMessage><template>false</template></returnval>`, n)))
}

// The same property over both bindings, from clients over loopback connections. The simulator is behind.
func BenchmarkAgainstTheSimulator(b *testing.B) {
	direct, _, h := simulated(b, simulator.VPX())
	front := httptest.NewServer(h)
	defer front.Close()
	vm := types.ManagedObjectReference{Type: "VirtualMachine", Value: "vm-62"}
	b.Run("JSON", func(b *testing.B) {
		for b.Loop() {
			res, err := http.Get(front.URL + base + vm.Type + "/" + vm.Value + "/name")
			if err != nil {
				b.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if err != nil || string(body) != `"DC0_H0_VM0"` {
				b.Fatalf("%s %v", body, err)
			}
		}
	})
	b.Run("SOAP", func(b *testing.B) {
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r2, err := http.NewRequestWithContext(r.Context(), "POST", direct.URL().String(), r.Body)
			if err != nil {
				panic(err)
			}
			r2.Header = r.Header
			res, err := direct.Client.Client.Do(r2)
			if err != nil {
				panic(err)
			}
			defer func() { _ = res.Body.Close() }()
			_, _ = io.Copy(w, res.Body)
		}))
		defer proxy.Close()
		message := retrieval(vm.Value)
		for b.Loop() {
			res, err := http.Post(proxy.URL, "text/xml", strings.NewReader(message))
			if err != nil {
				b.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if err != nil || !strings.Contains(string(body), "DC0_H0_VM0") {
				b.Fatalf("%s %v", body, err)
			}
		}
	})
}
