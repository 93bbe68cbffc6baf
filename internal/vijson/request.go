package vijson

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/vim"
)

const (
	maxBody = 1 << 20
	// maxName limits each name in a path, and maxID the id of an object, in bytes.
	maxName = 128
	maxID   = 1024
)

// target is the operation that a path names.
type target struct {
	release vim.Release
	object  types.ManagedObjectReference
	name    string
}

var (
	errPath    = errors.New("the path is not /sdk/vim25/{release}/{type}/{moId}/{name}")
	errRelease = errors.New("the release is not one that is served")
)

// parsePath parses {release}/{type}/{moId}/{name}. If escaped is set, the path is as it was in the URL: its
// parts are unescaped after they have been separated.
func parsePath(path string, escaped bool) (target, error) {
	var parts [4]string
	for i, max := range [...]int{maxName, maxName, maxID, maxName} {
		part, rest, more := strings.Cut(path, "/")
		if more != (i < 3) {
			return target{}, errPath
		}
		path = rest
		if escaped {
			var err error
			if part, err = url.PathUnescape(part); err != nil {
				return target{}, errPath
			}
		}
		if part == "" || len(part) > max || !isText(part) {
			return target{}, errPath
		}
		parts[i] = part
	}
	release, err := parseRelease(parts[0])
	if err != nil {
		return target{}, err
	}
	return target{release, types.ManagedObjectReference{Type: parts[1], Value: parts[2]}, parts[3]}, nil
}

// isText reports whether s is UTF-8 without control characters.
func isText(s string) bool {
	ascii := true
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
		ascii = ascii && s[i] < utf8.RuneSelf
	}
	return ascii || utf8.ValidString(s)
}

// parseRelease parses a release. It must have four numbers, and must not be older than VI JSON.
func parseRelease(s string) (vim.Release, error) {
	release, err := vim.ParseRelease(s)
	if err != nil || strings.Count(s, ".") != 3 || release.Before(vim.FirstRelease) {
		return vim.Release{}, errRelease
	}
	return release, nil
}

var errForeign = errors.New("a browser's request for a page of another origin")

// isJSON reports whether the headers allow the body to be read as JSON in UTF-8. A body without
// Content-Type is allowed.
func isJSON(h http.Header) bool {
	if binding.Encoded(h) {
		return false
	}
	all := h["Content-Type"]
	if len(all) == 0 {
		return true
	}
	if len(all) > 1 {
		return false
	}
	if all[0] == "application/json" {
		return true
	}
	kind, params, err := mime.ParseMediaType(all[0])
	if charset, ok := params["charset"]; ok && !isUTF8(charset) {
		return false
	}
	return err == nil && kind == "application/json"
}

// isUTF8 reports whether a charset is UTF-8. Many clients leave out the hyphen.
func isUTF8(charset string) bool {
	return strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "utf8")
}
