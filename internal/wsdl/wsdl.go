// Package wsdl generates the WSDL of the SOAP binding and its XML schemas from the operation table and the Go
// types of its rows. Client libraries such as zeep, suds, SoapClient of PHP and .NET build their classes from
// these documents.
//
// [New] describes the managed objects once, and [Documents.File] returns one of the files. They have the names,
// namespaces and order of vCenter's: vimService.wsdl, which names the address of the server, imports vim.wsdl,
// and that includes the schemas. The same table always gives the same files. [Serve] serves them; package
// soap says at which paths.
package wsdl

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"

	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/xmltoken"
)

const (
	// serviceFile is the name of the file that names the server's address, and imports the others.
	serviceFile = "vimService.wsdl"

	interfaceFile  = "vim.wsdl"
	nsVim          = "urn:vim25"
	nsService      = "urn:vim25Service"
	declaration    = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"
	nsSchema       = "http://www.w3.org/2001/XMLSchema"
	nsDescription  = "http://schemas.xmlsoap.org/wsdl/"
	nsSOAP         = "http://schemas.xmlsoap.org/wsdl/soap/"
	overHTTP       = "http://schemas.xmlsoap.org/soap/http"
	reflectTypes   = "reflect-types.xsd"
	reflectMessage = "reflect-messagetypes.xsd"
)

// newest is the newest release that the library's types describe.
const newest = "9.1.0.0"

// Release returns the release for the description of a server that has the given version of the API: that version,
// but at most the newest that is known.
func Release(apiVersion string) string {
	last, _ := vim.ParseRelease(newest)
	if r, err := vim.ParseRelease(apiVersion); err != nil || last.Before(r) {
		return newest
	}
	return apiVersion
}

// File is the content of one file, which must not be changed.
type File struct {
	Plain      []byte
	Compressed []byte // with gzip
	// Sum identifies the content. It has only letters and digits.
	Sum string
}

// Documents describe the API of one operation table.
type Documents struct {
	files map[string]*File
}

// Names returns the names of all files but serviceFile.
func Names() []string {
	names := []string{interfaceFile, reflectTypes, reflectMessage}
	for _, p := range parts {
		names = append(names, p.types, p.messages)
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == "" })
}

// New describes the managed objects for clients of a release, such as 8.0.3.0. The release may be that of an
// older server: "6.7.1". forwarded are objects of another server, to which this one forwards calls. If both
// have objects of a type, those of this server count.
//
// Without forwarded objects the files have the types that occur in the rows, and those that can stand in their
// place. Otherwise they have all types of the API. New fails if a row names a type or a fault that the API does
// not have.
func New(release string, objects []*vim.Object, forwarded ...*vim.Object) (*Documents, error) {
	own, err := vim.ParseRelease(release)
	if err != nil {
		return nil, fmt.Errorf("describe API: %w", err)
	}
	operations, err := operationsOf(objects, forwarded)
	if err != nil {
		return nil, fmt.Errorf("describe API: %w", err)
	}
	c := newCatalogue(own)
	c.collect(slices.Concat(objects, forwarded), len(forwarded) > 0)
	if c.err != nil {
		return nil, fmt.Errorf("describe API: %w", c.err)
	}
	d := &Documents{map[string]*File{}}
	for _, name := range []string{reflectTypes, reflectMessage} {
		// vCenter has the types of its reflection in a namespace of its own. Programs that fetch all files by
		// name fail if one is missing.
		d.add(name, []byte(declaration+`<schema targetNamespace="urn:reflect" xmlns="`+nsSchema+
			`" elementFormDefault="qualified"/>`+"\n"))
	}
	c.divide()
	for i := range parts {
		p := &parts[i]
		d.add(p.types, c.typesOf(p))
		if p.messages != "" {
			d.add(p.messages, c.messagesOf(p, operations))
		}
	}
	d.add(interfaceFile, c.describe(release, operations))
	if c.err != nil {
		return nil, fmt.Errorf("describe API: %w", c.err)
	}
	return d, nil
}

// File returns a file by its name. It returns nil if there is none of that name.
func (d *Documents) File(name string) *File { return d.files[name] }

func (d *Documents) add(name string, text []byte) { d.files[name] = newFile(text) }

// newFile returns the file with a text.
func newFile(text []byte) *File {
	var b bytes.Buffer
	for _, err := range compress(&b, text) {
		if err != nil {
			panic(err) // a Buffer takes all
		}
	}
	sum := sha256.Sum256(text)
	return &File{Plain: slices.Clip(text), Compressed: slices.Clip(b.Bytes()), Sum: hex.EncodeToString(sum[:16])}
}

func compress(w io.Writer, text []byte) []error {
	z, errLevel := gzip.NewWriterLevel(w, gzip.BestCompression)
	_, err := z.Write(text)
	return []error{errLevel, err, z.Close()}
}

// Service returns the serviceFile for a server whose clients post to the address.
func Service(address string) *File {
	text := []byte(declaration + `<definitions targetNamespace="` + nsService + "\"\n" +
		`   xmlns="` + nsDescription + "\"\n   xmlns:soap=\"" + nsSOAP + "\"\n" +
		"   xmlns:interface=\"" + nsVim + "\">\n" +
		`   <import location="` + interfaceFile + `" namespace="` + nsVim + "\"/>\n" +
		"   <service name=\"VimService\">\n" +
		"      <port binding=\"interface:VimBinding\" name=\"VimPort\">\n         <soap:address location=\"")
	text = xmltoken.AppendText(text, address)
	return newFile(append(text, "\"/>\n      </port>\n   </service>\n</definitions>\n"...))
}
