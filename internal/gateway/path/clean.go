package path

import (
	"errors"
	"net/url"
	"strings"
)

// errUnclean means that servers may read a path in different ways.
var errUnclean = errors.New("the path can be read in more than one way")

// clean returns the path of a request as the upstream gets it: without ".", ".." and empty segments, however they are
// written. The other characters stay escaped as the client sent them.
//
// It returns errUnclean for a path that some servers take for another one: with a segment that is ".." only if it is
// decoded twice or cut at a semicolon, with a backslash, or with a slash inside of a segment beside dots. From the
// prefix of such a path nobody can tell what the upstream would serve.
func clean(escaped string) (string, error) {
	var kept []string
	segments := strings.Split(strings.TrimPrefix(escaped, "/"), "/")
	for i, s := range segments {
		last := i == len(segments)-1
		name, err := url.PathUnescape(s)
		if err != nil || doubtful(name) {
			return "", errUnclean
		}
		switch name {
		case "..":
			kept = kept[:max(0, len(kept)-1)]
			if last {
				kept = append(kept, "")
			}
		case ".", "":
			if last {
				kept = append(kept, "")
			}
		default:
			kept = append(kept, s)
		}
	}
	return "/" + strings.Join(kept, "/"), nil
}

// doubtful reports whether servers read a decoded segment in different ways.
func doubtful(name string) bool {
	for range 3 {
		if strings.ContainsAny(name, "\\\x00") {
			return true
		}
		parts := strings.Split(name, "/")
		for _, p := range parts {
			before, _, cut := strings.Cut(p, ";")
			if (cut || len(parts) > 1) && (before == "." || before == ".." || before == "") {
				return true
			}
		}
		again, err := url.PathUnescape(name)
		if err != nil || again == name {
			return false
		}
		if again == "." || again == ".." {
			return true
		}
		name = again
	}
	return false
}
