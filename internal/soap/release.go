package soap

import (
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/xmltoken"
)

// prior are the versions of the API that clients find in the document of versions, newest first. They are
// the versions that vCenter lists, under the same names. A client chooses the newest version that it knows
// itself. Versions before these are served too, but no client looks for them.
var prior = []string{
	"9.1.0.0", "9.0.0.0", "8.0.3.1", "8.0.3.0", "8.0.2.0", "8.0.1.0", "8.0.0.2", "8.0.0.1", "8.0.0.0",
	"7.0.3.2", "7.0.3.1", "7.0.3.0", "7.0.2.1", "7.0.2.0", "7.0.1.1", "7.0.1.0", "7.0.0.2", "7.0.0.0",
	"6.9.1", "6.8.7", "6.7.3", "6.7.2", "6.7.1", "6.7", "6.5", "6.0", "5.5", "5.1", "5.0", "4.1", "4.0",
}

// requestRelease returns the release that the client uses. It is in SOAPAction or, in the manner of SOAP
// 1.2, in the parameter action of Content-Type.
func requestRelease(h http.Header) vim.Release {
	for _, action := range h["Soapaction"] {
		if strings.Trim(action, " \t\"") != "" {
			return actionRelease(action)
		}
	}
	for _, value := range h["Content-Type"] {
		if kind, params, err := mime.ParseMediaType(value); err == nil && kind == "application/soap+xml" {
			return actionRelease(params["action"])
		}
	}
	return vim.Release{}
}

// actionRelease returns the release that an action names, for example urn:vim25/8.0.2.0, with or without
// quotes, in upper or lower case. It returns the zero release, which every client understands, if the
// action names none.
func actionRelease(action string) vim.Release {
	action = strings.Trim(action, " \t\"")
	space, version, _ := strings.Cut(action, "/")
	if !strings.EqualFold(space, nsVim) && !strings.EqualFold(space, nsInternal) {
		return vim.Release{}
	}
	if r, err := vim.ParseRelease(version); err == nil {
		return r
	}
	// "2.5u2", "6.8.7.2-dev": the number ends at the first other character.
	end := strings.IndexFunc(version, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if end < 0 {
		return vim.Release{}
	}
	r, err := vim.ParseRelease(strings.TrimRight(version[:end], "."))
	if err != nil {
		return vim.Release{}
	}
	return r
}

// versions returns the document from which clients choose the version of the API that they use. current is
// the newest version.
func versions(current string) []byte {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8" ?>` + "\n" + `<namespaces version="1.0">` + "\n" +
		" <namespace>\n  <name>" + nsVim + "</name>\n  <version>")
	b.Write(xmltoken.AppendText(nil, current))
	b.WriteString("</version>\n  <priorVersions>\n")
	now, err := vim.ParseRelease(current)
	for _, v := range slices.DeleteFunc(slices.Clone(prior), func(v string) bool {
		old := actionRelease(nsVim + "/" + v)
		return v == current || err == nil && !old.Before(now)
	}) {
		b.WriteString("   <version>" + v + "</version>\n")
	}
	b.WriteString("  </priorVersions>\n </namespace>\n</namespaces>\n")
	return []byte(b.String())
}
