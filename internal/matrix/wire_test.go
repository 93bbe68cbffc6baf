package matrix

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vim25/xml"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/soap"
	"github.com/vigate/vigate/internal/vectors"
	"github.com/vigate/vigate/internal/vijson"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

// wireBinding makes calls over one binding of the server, through its real handler. It converts the
// results to JSON.
type wireBinding struct {
	name string
	// call makes a call. If args is nil, it reads a property.
	call func(w *world, h http.Handler, token string, on reference, name string, args any) (wire, error)
}

// wire is the result of a call.
type wire struct {
	// value is the result, or nil if there is none.
	value any
	// fault is the type of the fault, and privilege is the missing privilege that it names. Both
	// are "" if there is none.
	fault, privilege string
}

func (o wire) String() string {
	if o.fault != "" {
		return fmt.Sprintf("the fault %s (%s)", o.fault, o.privilege)
	}
	return fmt.Sprintf("the result %.200v", o.value)
}

var bindings = []wireBinding{{"VI JSON", callJSON}, {"SOAP", callSOAP}}

func (w *world) handler() http.Handler {
	mux, bodies := http.NewServeMux(), binding.NewBodies(0)
	vijson.Mount(mux, w.API, bodies)
	soap.Mount(mux, w.API, bodies, soap.Options{Version: vimtest.APIVersion})
	return mux
}

// send passes a request to the handler.
func (w *world) send(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	from := w.Peer
	from.Certificates = w.acme
	r = r.WithContext(peer.With(w.t.Context(), &from))
	if w.to != nil {
		h.ServeHTTP(w.to, r)
		return w.to.ResponseRecorder
	}
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, r)
	return answer
}

func callJSON(w *world, h http.Handler, token string, on reference, name string, args any) (wire, error) {
	method, body := "GET", &bytes.Buffer{}
	if args != nil {
		method = "POST"
		if err := types.NewJSONEncoder(body).Encode(args); err != nil {
			return wire{}, err
		}
	}
	path := on.Type + "/" + url.PathEscape(on.Value) + "/" + name
	r := httptest.NewRequest(method, "https://vigate.test/sdk/vim25/8.0.1.0/"+path, body)
	if args != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("vmware-api-session-id", token)
	}
	answer := w.send(h, r)
	switch answer.Code {
	case http.StatusNoContent:
		return wire{}, nil
	case http.StatusOK, http.StatusInternalServerError:
		return read(answer.Body.Bytes(), answer.Code != http.StatusOK)
	}
	return wire{}, fmt.Errorf("%d %s", answer.Code, answer.Body)
}

// read converts JSON to a result.
func read(b []byte, fault bool) (wire, error) {
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return wire{}, fmt.Errorf("%w in %s", err, b)
	}
	if !fault {
		return wire{value: plain(v)}, nil
	}
	return faultOf(v)
}

func faultOf(v any) (wire, error) {
	m, _ := v.(map[string]any)
	name, _ := m["_typeName"].(string)
	if name == "" {
		return wire{}, fmt.Errorf("%v is not a fault", v)
	}
	privilege, _ := m["privilegeId"].(string)
	return wire{fault: name, privilege: privilege}, nil
}

// plain returns a value without the parts that differ between bindings and between calls: how it is
// boxed, and the counters of its session.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if inner, boxed := v["_value"]; boxed {
			return plain(inner)
		}
		out := map[string]any{}
		for name, member := range v {
			if name != "callCount" {
				out[name] = plain(member)
			}
		}
		return out
	case []any:
		if len(v) == 0 {
			return nil // SOAP writes an empty list like this
		}
		out := make([]any, len(v))
		for i := range v {
			out[i] = plain(v[i])
		}
		return out
	case string:
		if at, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return at.UTC().Truncate(time.Microsecond)
		}
	}
	return v
}

func callSOAP(w *world, h http.Handler, token string, on reference, name string, args any) (wire, error) {
	method, request := name, args
	if args == nil {
		method, request = "Fetch", &fetch{Prop: name}
	}
	// The request gets the object as its own, so it is copied.
	v := reflect.New(reflect.TypeOf(request).Elem())
	v.Elem().Set(reflect.ValueOf(request).Elem())
	v.Elem().FieldByName("This").Set(reflect.ValueOf(on))
	var body bytes.Buffer
	body.WriteString(`<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"` +
		` xmlns:xsd="http://www.w3.org/2001/XMLSchema"><e:Body>`)
	element := xml.StartElement{Name: xml.Name{Space: "urn:vim25", Local: method}}
	if err := xml.NewEncoder(&body).EncodeElement(v.Interface(), element); err != nil {
		return wire{}, err
	}
	body.WriteString(`</e:Body></e:Envelope>`)
	r := httptest.NewRequest("POST", "https://vigate.test/sdk", &body)
	r.Header.Set("Content-Type", "text/xml; charset=utf-8")
	r.Header.Set("SOAPAction", "urn:vim25/8.0.1.0")
	if token != "" {
		r.Header.Set("Cookie", `vmware_soap_session="`+token+`"`)
	}
	answer := w.send(h, r)
	out, err := w.readSOAP(answer, on, name, args == nil)
	if err != nil {
		err = fmt.Errorf("%w: %d %s", err, answer.Code, answer.Body)
	}
	return out, err
}

// fetch is the SOAP request that reads a property.
type fetch struct {
	This reference `xml:"_this"`
	Prop string    `xml:"prop"`
}

// readSOAP reads the fault in the response, or the result that the row declares.
func (w *world) readSOAP(answer *httptest.ResponseRecorder, on reference, name string, property bool) (wire, error) {
	d := xml.NewDecoder(answer.Body)
	d.TypeFunc = vectors.TypeNamed
	element, value := "returnval", reflect.ValueOf(new(any))
	switch {
	case answer.Code == http.StatusInternalServerError:
		element, value = "detail", reflect.ValueOf(new(struct {
			//lint:ignore SA5008 typeattr is an option of vim25/xml
			Fault any `xml:",any,typeattr"`
		}))
	case answer.Code != http.StatusOK:
		return wire{}, fmt.Errorf("the status is neither 200 nor 500")
	case !property:
		m, _ := w.API.Method(on, name)
		if m.Result == nil || m.Result.Kind() == reflect.Slice {
			return wire{}, nil // the elements of lists are compared for properties
		}
		value = reflect.New(m.Result)
	}
	for {
		token, err := d.Token()
		if token == nil {
			return wire{}, nil // the end of the body: there is no result
		}
		if err != nil {
			return wire{}, err
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == element {
			if err := d.DecodeElement(value.Interface(), &e); err != nil {
				return wire{}, err
			}
			break
		}
	}
	if element == "detail" {
		value = value.Elem().Field(0).Addr()
	}
	b, err := encode(value.Elem().Interface())
	if err != nil {
		return wire{}, err
	}
	return read(b, element == "detail")
}

// encode encodes a value as VI JSON.
func encode(v any) ([]byte, error) {
	if v := reflect.ValueOf(v); v.Kind() == reflect.Struct && strings.HasPrefix(v.Type().Name(), "ArrayOf") {
		return encode(v.Field(0).Interface())
	}
	var b bytes.Buffer
	err := types.NewJSONEncoder(&b).Encode(v)
	return b.Bytes(), err
}
