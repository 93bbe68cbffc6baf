// Package openapi generates an OpenAPI 3.0 document of the API from the operation table and the Go
// types of its rows.
//
// [New] describes the managed objects once, and [Document.JSON] returns the document for a release.
// The same table always gives the same document. It covers the VI JSON binding, with every method,
// property, fault and data type that the server has. The package serves no requests; package vijson
// serves the document.
package openapi

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/schema"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/vim/implied"
)

const (
	jsonType   = "application/json"
	refSchema  = "#/components/schemas/"
	helloPath  = "/api/vcenter/system"
	scheme     = "session"
	tokenName  = "vmware-api-session-id"
	faultsName = "x-vigate-faults"
)

// object is a JSON object. Its members are encoded in the order of their names, so the same table
// always gives the same document.
type object = map[string]any

// Document describes the API of one operation table for any release.
type Document struct {
	rest []byte // the part that is the same for all releases, from its first comma on
}

// New describes the managed objects, and those that another server has, to which this one forwards
// calls. If both have objects of a type, those of this server count. It fails if a row names a type or
// a fault that the API does not have.
func New(objects []*vim.Object, forwarded ...*vim.Object) (*Document, error) {
	s := newSchemas()
	tags, paths := []object{}, object{}
	for i, o := range slices.Concat(objects, forwarded) {
		if s.foreign = i >= len(objects); s.foreign && slices.ContainsFunc(objects, func(own *vim.Object) bool {
			return own.Type == o.Type
		}) {
			continue
		}
		tags = append(tags, object{"name": o.Type})
		for i := range o.Methods {
			paths["/"+o.Type+"/{moId}/"+o.Methods[i].Name] = object{"post": s.method(o, &o.Methods[i])}
		}
		for i := range o.Properties {
			paths["/"+o.Type+"/{moId}/"+o.Properties[i].Name] = object{"get": s.property(o, &o.Properties[i])}
		}
	}
	paths[helloPath] = hello()
	for _, name := range implied.Events {
		s.named(name)
	}
	s.complete()
	if s.err != nil {
		return nil, fmt.Errorf("describe API: %w", s.err)
	}
	rest, err := json.Marshal(struct {
		Tags       []object `json:"tags"`
		Paths      object   `json:"paths"`
		Components object   `json:"components"`
	}{tags, paths, components(s)})
	if err != nil {
		return nil, fmt.Errorf("describe API: %w", err)
	}
	rest[0] = ',' // it goes on where the head of a release ends
	return &Document{rest}, nil
}

// JSON returns the document for clients that use the given release, such as 8.0.1.0, in two parts.
// The second part is long and the same for all releases. The caller must not change it.
func (d *Document) JSON(release string) (head, rest []byte) {
	head, err := json.Marshal(struct {
		OpenAPI string   `json:"openapi"`
		Info    object   `json:"info"`
		Servers []object `json:"servers"`
	}{
		"3.0.3",
		object{
			"title":   "vigate: Virtual Infrastructure JSON API",
			"version": release,
			"description": "The managed objects of this server. A property is read with GET, and a method is called " +
				"with POST.",
			"license": object{"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0.html"},
		},
		[]object{{"url": "/sdk/vim25/" + release}},
	})
	if err != nil {
		panic(err) // marshalling texts can't fail
	}
	return head[:len(head)-1], d.rest
}

func components(s *schemas) object {
	return object{
		"schemas": s.done,
		"securitySchemes": object{scheme: object{
			"type": "apiKey", "in": "header", "name": tokenName,
			"description": "The token of a session. The response to a login has it in the header of the same name.",
		}},
		"parameters": object{"moId": object{
			"name": "moId", "in": "path", "required": true, "schema": object{"type": "string"},
			"description": "The id of the managed object.",
		}},
		"headers": object{"session": object{
			"description": "The token of the new session, in responses to logins.",
			"schema":      object{"type": "string", "pattern": "^[0-9a-f]{40}$"},
		}},
		"responses": object{"Fault": object{
			"description": "A fault.",
			"content":     object{jsonType: object{"schema": object{"$ref": refSchema + "FaultString"}}},
		}, "Unavailable": object{
			"description": "There are too many sessions or too many logins at once, or the store is unavailable.",
			"headers": object{"Retry-After": object{"description": "Seconds.",
				"schema": object{"type": "integer", "minimum": 0}}},
			"content": object{jsonType: object{"schema": object{"$ref": refSchema + "Unavailable"}}},
		}},
	}
}

func (s *schemas) method(o *vim.Object, m *vim.Method) object {
	op := s.operation(o, m.Name, string(m.Privilege), m.Faults)
	request := s.request(m)
	op["requestBody"] = object{
		"required": slices.ContainsFunc(schema.Of(m.Args, "json").Members, func(m schema.Member) bool {
			return !m.OmitEmpty
		}),
		"content": object{jsonType: object{"schema": object{"$ref": refSchema + request}}},
	}
	s.success(op, m.Result, m.Optional, startsSession(m))
	return op
}

func (s *schemas) property(o *vim.Object, p *vim.Property) object {
	op := s.operation(o, p.Name, string(p.Privilege), nil)
	s.success(op, p.Type, p.Optional, false)
	return op
}

func (s *schemas) operation(o *vim.Object, name, privilege string, faults []string) object {
	op := object{
		"tags":               []string{o.Type},
		"operationId":        o.Type + "_" + name,
		"summary":            name + " of " + o.Type,
		"parameters":         []object{{"$ref": "#/components/parameters/moId"}},
		"x-vigate-privilege": privilege,
		"security":           []object{{scheme: []string{}}},
	}
	if s.foreign {
		delete(op, "x-vigate-privilege")
		op["description"] = "The server to which the call is forwarded decides who may make it."
		op["responses"] = object{
			"500": object{"$ref": "#/components/responses/Fault"},
			"503": object{"$ref": "#/components/responses/Unavailable"},
		}
		return op
	}
	if o.ID != "" {
		op["description"] = "There is one object: " + o.ID + ". Privilege: " + privilege + "."
	} else {
		op["description"] = "Each object belongs to a session. Privilege: " + privilege + "."
	}
	if privilege == string(vim.Anonymous) {
		op["security"] = []object{{}, {scheme: []string{}}}
	}
	if len(faults) > 0 {
		op[faultsName] = faults
	}
	op["responses"] = object{
		"500": s.fault(faults),
		"503": object{"$ref": "#/components/responses/Unavailable"},
	}
	return op
}

// fault describes the error response: the faults of the row, the faults of any row, and a common
// form for all others.
func (s *schemas) fault(faults []string) object {
	names := slices.Compact(slices.Sorted(slices.Values(slices.Concat(implied.Faults, faults))))
	refs, mapping := []object{}, object{}
	for _, name := range names {
		s.named(name)
		refs = append(refs, object{"$ref": refSchema + name})
		mapping[name] = refSchema + name
	}
	return object{
		"description": "A fault.",
		"content": object{jsonType: object{"schema": object{"allOf": []object{
			{"$ref": refSchema + "FaultString"},
			{"oneOf": refs, "discriminator": object{"propertyName": typeName, "mapping": mapping}},
		}}}},
	}
}

// startsSession reports whether the method is a login. The response to a login has a token.
func startsSession(m *vim.Method) bool {
	return m.Privilege == vim.Anonymous && m.Result == reflect.TypeFor[types.UserSession]()
}

// success adds the responses of successful calls, with the result or without one.
func (s *schemas) success(op object, result reflect.Type, optional, token bool) {
	responses := op["responses"].(object)
	if result == nil || optional {
		text := "Success without a result."
		if optional {
			text = "The value is unset."
		}
		responses["204"] = object{"description": text}
	}
	if result == nil {
		return
	}
	ok := object{
		"description": "The result.",
		"content":     object{jsonType: object{"schema": s.of(result)}},
	}
	if token {
		ok["headers"] = object{tokenName: object{"$ref": "#/components/headers/session"}}
	}
	responses["200"] = ok
}

// hello describes the negotiation of the release. Its path is not below the API's root.
func hello() object {
	list := object{
		"type": "array", "minItems": 1, "maxItems": 128,
		"items": object{"type": "string", "maxLength": 64},
	}
	return object{
		"servers": []object{{"url": "/"}},
		"post": object{
			"operationId": "hello",
			"summary":     "Negotiate the release of the API",
			"description": "Returns the first of the given releases that the server supports, or an empty text.",
			"security":    []object{{}},
			"parameters": []object{{
				"name": "action", "in": "query", "required": true,
				"schema": object{"type": "string", "enum": []string{"hello"}},
			}},
			"requestBody": object{"required": true, "content": object{jsonType: object{"schema": object{
				"type": "object", "required": []string{"api_releases"}, "additionalProperties": false,
				"properties": object{"api_releases": list, typeName: object{"type": "string"}},
			}}}},
			"responses": object{
				"200": object{"description": "The release.", "content": object{jsonType: object{"schema": object{
					"type": "object", "required": []string{"api_release"},
					"properties": object{"api_release": object{"type": "string"}},
				}}}},
				"400": object{"description": "The list is empty or too long, or it contains an id that is too long."},
			},
		},
	}
}
