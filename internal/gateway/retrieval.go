package gateway

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/gateway/answer"
	"github.com/vigate/vigate/internal/gateway/message"
	"github.com/vigate/vigate/internal/gateway/method"
	"github.com/vigate/vigate/internal/httptoken"
	"github.com/vigate/vigate/internal/upstream"
	"github.com/vigate/vigate/internal/vim"
)

const viewManager = "ViewManager"

// ownTypes are the types of objects whose properties are about the client's own session. Those of the upstream
// are about a session that many clients share. anyType is the base of all.
var ownTypes = map[string]bool{managerType: true, method.Collector: true, viewManager: true, anyType: true}

const anyType = "ManagedObject"

// views are the types of views.
var views = []string{"ContainerView", "ListView", "InventoryView"}

// retrieval is a retrieval that reaches objects whose properties the front has. The upstream is asked for these
// objects without properties, so that it decides which objects there are and on which page; the properties are
// inserted into its answer.
type retrieval struct {
	edits []message.Edit
	// properties are what the client wants of objects of each type.
	specs map[string][]message.PropertySpec
	// manager is what follows the reference of SessionManager in an answer.
	manager string

	passage *passage // of the current call
}

// split finds out whether a request reads properties that the front has. It refuses what can't be answered.
func (p *passage) split(content *upstream.Content) error {
	p.retrieval = nil
	m := p.message
	if p.method.Resumes {
		if o := p.table.Find(p.live, m.Token.Text); o != nil {
			if r, ok := o.Note.(*retrieval); ok {
				p.retrieval = &retrieval{specs: r.specs, manager: r.manager}
			}
		}
		return nil
	}
	if !m.Named || !p.method.Retrieves && m.Method != "CreateFilter" {
		return nil
	}
	specs := m.Specs()
	for _, t := range specs.Traversals {
		if t.Type == method.Collector || t.Type == viewManager {
			return vim.Unsupported("a front can't select objects by a property of " + t.Type)
		}
	}
	r := &retrieval{specs: map[string][]message.PropertySpec{}}
	for _, s := range specs.Properties {
		switch {
		case !ownTypes[s.Type], s.Type == anyType && !s.All:
		case m.Method == "CreateFilter":
			return vim.Unsupported("a filter on a front can't report properties of " + s.Type +
				"; retrieve them instead")
		case s.Type == anyType:
			return vim.Unsupported("a front can't read all properties of objects of any type")
		default:
			r.specs[s.Type] = append(r.specs[s.Type], s)
			r.edits = append(r.edits, s.Without()...)
		}
	}
	if len(r.specs) == 0 {
		return nil
	}
	p.retrieval = r
	return r.readManager(p, content)
}

// aboutSession reports whether a request reads nothing but properties of SessionManager, so that the front needs
// no help to answer it.
func (f *Front) aboutSession(m *message.Message) bool {
	if !m.Named || !method.Of(m.Method).Retrieves {
		return false
	}
	specs, object := m.Specs(), f.API.Object(managerType)
	other := func(s message.PropertySpec) bool { return s.Type != managerType }
	return object != nil && len(specs.Objects) > 0 && len(specs.Traversals) == 0 &&
		!slices.ContainsFunc(specs.Properties, other) &&
		!slices.ContainsFunc(specs.Objects, func(id string) bool { return id != object.ID })
}

// readManager reads the properties of SessionManager from the front's API.
func (r *retrieval) readManager(p *passage, content *upstream.Content) error {
	specs := r.specs[managerType]
	if len(specs) == 0 {
		return nil
	}
	object := p.API.Object(managerType)
	collector := p.API.Object(method.Collector)
	if object == nil || collector == nil || content.SessionManager == nil {
		return errors.New("the front has no SessionManager")
	}
	raw, err := p.askLocal(answer.Retrieval(collector.ID, object.Ref(), specs))
	if err != nil {
		return err
	}
	_, inner, ok := strings.Cut(raw, "</obj>")
	if !ok {
		return nil // nothing was asked for, or nothing is set
	}
	inner, _, _ = strings.Cut(inner, "</objects>")
	// The prefixes are those of vigate's envelope.
	const declared = ` xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"` +
		` xmlns:xsd="http://www.w3.org/2001/XMLSchema">`
	r.manager = strings.NewReplacer(
		"<propSet>", "<propSet"+declared, "<missingSet>", "<missingSet"+declared,
	).Replace(inner)
	return nil
}

// foreignAnswerError is an answer of the front's own binding that goes to the client as it is.
type foreignAnswerError struct{ answer *Answer }

func (e *foreignAnswerError) Error() string { return "the front's own API answers with a fault" }

// askLocal sends a request to the front's own SOAP binding, as the client.
func (p *passage) askLocal(envelope []byte) (string, error) {
	r, err := http.NewRequestWithContext(p.admission.Context, http.MethodPost, "/sdk", bytes.NewReader(envelope))
	if err != nil {
		return "", err
	}
	r.Header["Content-Type"] = []string{"text/xml; charset=utf-8"}
	r.Header["Soapaction"] = p.call.Header["Soapaction"]
	r.Header[httptoken.Header] = []string{p.call.VIM.Token.Reveal()}
	w := &recorder{header: http.Header{}, status: http.StatusOK}
	p.Local.ServeHTTP(w, r)
	if w.status != http.StatusOK {
		a := answerOf(w.Bytes())
		a.Status = w.status
		return "", &foreignAnswerError{a}
	}
	return w.String(), nil
}

// recorder keeps an answer of the front's own binding.
type recorder struct {
	bytes.Buffer
	header http.Header
	status int
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) { r.status = status }

// inserter returns what inserts the properties that the front has into the answer of a call.
func (r *retrieval) inserter(p *passage) *message.Inserter {
	r.passage = p
	i := &message.Inserter{Content: r.content}
	for kind := range r.specs {
		i.Kinds = append(i.Kinds, kind)
	}
	slices.Sort(i.Kinds)
	return i
}

// content returns the properties of an object.
func (r *retrieval) content(kind, id string) string {
	if kind == managerType {
		return r.manager
	}
	name, refs := "viewList", []types.ManagedObjectReference(nil)
	table, live := r.passage.table, r.passage.live
	if kind == method.Collector {
		name = "filter"
		in := table.Find(live, id)
		if id == r.passage.defaultCollector() {
			in = table.HasDefault(live)
		}
		if in != nil {
			refs = table.IDs(live, in, method.Filter)
		}
	} else {
		refs = table.IDs(live, nil, views...)
	}
	wanted := func(s message.PropertySpec) bool { return s.All || slices.Contains(s.Paths, name) }
	if !slices.ContainsFunc(r.specs[kind], wanted) {
		return ""
	}
	return `<propSet><name>` + name + `</name><val xmlns:XSI="http://www.w3.org/2001/XMLSchema-instance" ` +
		`XSI:type="ArrayOfManagedObjectReference">` + answer.References("ManagedObjectReference", refs) +
		`</val></propSet>`
}

// fetched answers Fetch of a list of the client's own objects, or returns nil.
func (p *passage) fetched(content *upstream.Content, byDefault bool) (*Answer, error) {
	m := p.message
	var refs []types.ManagedObjectReference
	switch this := strings.TrimSpace(m.This.Text); {
	case m.Method != fetch:
		return nil, nil
	case byDefault && m.Prop == "filter":
		if in := p.table.HasDefault(p.live); in != nil {
			refs = p.table.IDs(p.live, in, method.Filter)
		}
	case content.ViewManager != nil && this == content.ViewManager.Value && m.Prop == "viewList":
		refs = p.table.IDs(p.live, nil, views...)
	default:
		return nil, nil
	}
	if fault := p.admission.Done(nil); fault != nil {
		return nil, fault
	}
	return answerOf(answer.Envelope(`<FetchResponse xmlns="urn:vim25"><returnval ` +
		`xsi:type="ArrayOfManagedObjectReference">` + answer.References("ManagedObjectReference", refs) +
		`</returnval></FetchResponse>`)), nil
}
