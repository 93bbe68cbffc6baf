package soap_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vim25/xml"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/soap"
	"github.com/vigate/vigate/internal/vectors"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

const xsi = "http://www.w3.org/2001/XMLSchema-instance"

// overWire makes the calls of vectors over SOAP, and returns the outcomes in the form of VI JSON. It shares
// no code with the server's codec: it encodes requests from JSON, and decodes responses with the library's
// decoder.
type overWire struct {
	t       testing.TB
	api     *vim.API
	mux     *http.ServeMux
	answers *answers
}

func (b *overWire) Do(ctx context.Context, c vectors.Call) (vectors.Outcome, error) {
	message, err := b.message(c)
	if err != nil {
		return vectors.Outcome{}, err
	}
	soap.ReadFast(b.t, []byte(message))
	r := httptest.NewRequest("POST", "/sdk", strings.NewReader(message))
	r.Header.Set("Content-Type", "text/xml; charset=utf-8")
	r.Header.Set("SOAPAction", `"urn:vim25/8.0.1.0"`)
	if c.Token != "" {
		r.Header.Set("Cookie", `vmware_soap_session="`+c.Token+`"; Path=/; HttpOnly; Secure;`)
	}
	if c.AcceptLanguage != "" {
		r.Header.Set("Accept-Language", c.AcceptLanguage)
	}
	w := httptest.NewRecorder()
	b.mux.ServeHTTP(w, r.WithContext(peer.With(ctx, &c.Peer)))
	b.answers.add(c, w)
	o, err := b.outcome(w, c)
	if err != nil {
		err = fmt.Errorf("%d %s: %w", w.Code, w.Body, err)
	}
	return o, err
}

// message returns the envelope of the call.
func (b *overWire) message(c vectors.Call) (string, error) {
	var s strings.Builder
	fmt.Fprintf(&s, `<?xml version="1.0"?><e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" `+
		`xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi=%q><e:Body>`, xsi)
	name := c.Name
	if c.Read {
		name = "Fetch"
	}
	fmt.Fprintf(&s, `<%s xmlns="urn:vim25"><_this type="%s">%s</_this>`, name, escape(c.Object.Type),
		escape(c.Object.Value))
	if c.Read {
		fmt.Fprintf(&s, "<prop>%s</prop>", escape(c.Name))
	}
	if c.Args != nil {
		var args map[string]any
		d := json.NewDecoder(bytes.NewReader(c.Args))
		d.UseNumber()
		if err := d.Decode(&args); err != nil {
			return "", err
		}
		var t reflect.Type
		if m, fault := b.api.Method(c.Object, c.Name); fault == nil {
			t = m.Args
		}
		members(&s, args, t)
	}
	fmt.Fprintf(&s, "</%s></e:Body></e:Envelope>", name)
	return s.String(), nil
}

func escape(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a write to memory can't fail
	return b.String()
}

// members writes the members of a JSON object. t is the type of the object, or nil if it is unknown.
func members(s *strings.Builder, object map[string]any, t reflect.Type) {
	for key, value := range object {
		if key != "_typeName" {
			name, typ := member(t, key)
			element(s, name, value, typ)
		}
	}
}

// member returns the name in XML, and the type, of the member with the given name in JSON.
func member(t reflect.Type, key string) (string, reflect.Type) {
	if t == nil || t.Kind() != reflect.Struct {
		return key, nil
	}
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name == key {
			name, _, _ = strings.Cut(f.Tag.Get("xml"), ",")
			return name, f.Type
		}
	}
	return key, nil
}

func element(s *strings.Builder, name string, value any, t reflect.Type) {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch v := value.(type) {
	case nil:
	case []any:
		var elem reflect.Type
		if t != nil && t.Kind() == reflect.Slice {
			elem = t.Elem()
		}
		for _, item := range v {
			element(s, name, item, elem)
		}
	case map[string]any:
		object(s, name, v, t)
	default:
		fmt.Fprintf(s, "<%s>%s</%s>", name, escape(fmt.Sprint(v)), name)
	}
}

// object writes an object, or the value in a box.
func object(s *strings.Builder, name string, v map[string]any, t reflect.Type) {
	typ, _ := v["_typeName"].(string)
	if typ == "ManagedObjectReference" || t == reflect.TypeFor[types.ManagedObjectReference]() {
		fmt.Fprintf(s, `<%s xsi:type="ManagedObjectReference" type="%s">%s</%s>`, name, escape(fmt.Sprint(v["type"])),
			escape(fmt.Sprint(v["value"])), name)
		return
	}
	claim := ""
	if known, ok := types.TypeFunc()(typ); ok {
		t, claim = known, fmt.Sprintf(` xsi:type="%s"`, typ)
	} else if typ != "" {
		claim = fmt.Sprintf(` xsi:type="xsd:%s"`, typ)
	}
	fmt.Fprintf(s, "<%s%s>", name, claim)
	if inner, boxed := v["_value"]; boxed {
		if list, ok := inner.([]any); ok {
			item, _, _ := strings.Cut(t.Field(0).Tag.Get("xml"), ",")
			element(s, item, list, t.Field(0).Type)
		} else {
			s.WriteString(escape(fmt.Sprint(inner)))
		}
	} else {
		members(s, v, t)
	}
	fmt.Fprintf(s, "</%s>", name)
}

// outcome decodes a response.
func (b *overWire) outcome(w *httptest.ResponseRecorder, c vectors.Call) (o vectors.Outcome, err error) {
	if cookie := w.Header().Get("Set-Cookie"); cookie != "" {
		o.Token = strings.Split(cookie, `"`)[1]
	}
	d := xml.NewDecoder(w.Body)
	d.TypeFunc = vectors.TypeNamed
	switch w.Code {
	case http.StatusOK:
		v, found, err := b.result(d, c)
		if err == nil && found {
			o.Result, err = json.Marshal(form(v, false))
		}
		return o, err
	case http.StatusInternalServerError:
		v, err := fault(d)
		if err == nil {
			o.Fault, err = json.Marshal(v)
		}
		return o, err
	}
	return o, fmt.Errorf("the status is neither 200 nor 500")
}

// result decodes the result of the operation. A list that a method returns has one element per item. A list
// that Fetch returns is in one element.
func (b *overWire) result(d *xml.Decoder, c vectors.Call) (v reflect.Value, found bool, err error) {
	if c.Read {
		var value any
		found, err := next(d, "returnval", func(e *xml.StartElement) error { return d.DecodeElement(&value, e) })
		v := reflect.ValueOf(value)
		if found && strings.HasPrefix(v.Type().Name(), "ArrayOf") {
			v = v.Field(0)
		}
		return v, found, err
	}
	row, unknown := b.api.Method(c.Object, c.Name)
	if unknown != nil {
		return v, false, unknown
	}
	if row.Result == nil {
		found, err := next(d, "returnval", func(*xml.StartElement) error { return nil })
		if found {
			err = fmt.Errorf("a void method gave something")
		}
		return v, false, err
	}
	v = reflect.New(row.Result).Elem()
	list := v.Kind() == reflect.Slice && v.Type() != reflect.TypeFor[[]byte]()
	for {
		item := v
		if list {
			item = reflect.New(v.Type().Elem()).Elem()
		}
		more, err := next(d, "returnval", func(e *xml.StartElement) error {
			return d.DecodeElement(item.Addr().Interface(), e)
		})
		if err != nil || !more {
			return v, found || list, err
		}
		if found && !list {
			return v, true, fmt.Errorf("a second result")
		}
		if found = true; list {
			v.Set(reflect.Append(v, item))
		}
	}
}

// next reads up to the next element of the given name. It returns false if there is none.
func next(d *xml.Decoder, name string, read func(*xml.StartElement) error) (bool, error) {
	for {
		token, err := d.Token()
		if token == nil {
			return false, nil // the end of the document
		}
		if err != nil {
			return false, err
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == name {
			return true, read(&e)
		}
	}
}

// fault decodes a fault, and adds its text to its members.
func fault(d *xml.Decoder) (any, error) {
	var text string
	found, err := next(d, "faultstring", func(e *xml.StartElement) error { return d.DecodeElement(&text, e) })
	if err != nil || !found {
		return nil, fmt.Errorf("no faultstring: %v", err)
	}
	var detail struct {
		//lint:ignore SA5008 typeattr is an option of vim25/xml
		Fault any `xml:",any,typeattr"`
	}
	found, err = next(d, "detail", func(e *xml.StartElement) error { return d.DecodeElement(&detail, e) })
	if err != nil || !found || detail.Fault == nil {
		return nil, fmt.Errorf("no detail: %v", err)
	}
	v, ok := form(reflect.ValueOf(detail.Fault), false).(map[string]any)
	if !ok {
		return nil, fmt.Errorf("the detail is a %T", detail.Fault)
	}
	v["faultstring"] = text
	return v, nil
}

// form returns a value in the form of VI JSON. boxed is set if the declared type is anyType.
func form(v reflect.Value, boxed bool) any {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		boxed = v.Kind() == reflect.Interface
		v = v.Elem()
	}
	var plain any
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		plain = v.Interface().(time.Time).UTC().Format(time.RFC3339Nano)
	case v.Kind() == reflect.Struct && strings.HasPrefix(v.Type().Name(), "ArrayOf"):
		return map[string]any{"_typeName": v.Type().Name(), "_value": form(v.Field(0), false)}
	case v.Kind() == reflect.Struct:
		return objectForm(v)
	case v.Kind() == reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = form(v.Index(i), false)
		}
		return list
	default:
		plain = v.Interface()
	}
	if boxed {
		return map[string]any{"_typeName": types.VmomiTypeName(v.Type()), "_value": plain}
	}
	return plain
}

func objectForm(v reflect.Value) any {
	object := map[string]any{"_typeName": v.Type().Name()}
	for _, f := range reflect.VisibleFields(v.Type()) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		value := v.FieldByIndex(f.Index)
		optional := slices.Contains(strings.Split(options, ","), "omitempty")
		switch value.Kind() {
		case reflect.Pointer, reflect.Interface:
			if value.IsNil() {
				continue
			}
		case reflect.Struct:
		default:
			if optional && (value.IsZero() || value.Kind() == reflect.Slice && value.Len() == 0) {
				continue
			}
		}
		object[name] = form(value, false)
	}
	return object
}

func TestVectors(t *testing.T) {
	var all answers
	vectors.Run(t, func(t testing.TB, api *vim.API) vectors.Binding {
		mux := http.NewServeMux()
		soap.Mount(mux, api, binding.NewBodies(0), soap.Options{Version: vimtest.APIVersion})
		return &overWire{t, api, mux, &all}
	})
	all.areValid(t)
}
