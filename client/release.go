package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// fallbackRelease is the first release with VI JSON. All later servers serve it too. The first
// servers with VI JSON do not have the hello operation.
const fallbackRelease = "8.0.1.0"

// knownReleases are the releases that the client offers to the server, in order of preference.
// vim25/types knows the types of all of them.
var knownReleases = []string{"9.1.0.0", "9.0.0.0", "8.0.3.0", "8.0.2.0", fallbackRelease}

// negotiate asks the server which release of the API to use.
func (c *Client) negotiate(ctx context.Context) (string, error) {
	body, err := json.Marshal(map[string][]string{"api_releases": knownReleases})
	if err != nil {
		return "", fmt.Errorf("negotiate release: %w", err)
	}
	target := c.base
	target.Path, target.RawQuery = "/api/vcenter/system", "action=hello"
	q := request{
		operation: "hello",
		method:    http.MethodPost,
		url:       target,
		body:      body,
		// The operation hello is a POST, but it changes nothing.
		read: true,
	}
	resp, err := c.send(ctx, q, Token{})
	if err != nil {
		if lacksHello(err) {
			return fallbackRelease, nil
		}
		return "", fmt.Errorf("negotiate release: %w", err)
	}
	var chosen struct {
		Release string `json:"api_release"`
	}
	if err := json.Unmarshal(resp.body, &chosen); err != nil {
		return "", errors.New("negotiate release: unexpected response to hello")
	}
	if !slices.Contains(knownReleases, chosen.Release) {
		return "", fmt.Errorf("negotiate release: the server chose %.40q of %q", chosen.Release, knownReleases)
	}
	return chosen.Release, nil
}

// lacksHello reports whether err shows that the server exists but does not have the hello
// operation. Every error status means that, except those that a gateway sends if it can't reach the
// server.
func lacksHello(err error) bool {
	if status, ok := errors.AsType[*HTTPError](err); ok {
		return !retryableStatus(status.StatusCode) && status.StatusCode != http.StatusTooManyRequests
	}
	_, isFault := errors.AsType[*FaultError](err)
	return isFault || errors.Is(err, errNotJSON)
}

// lacksVIJSON reports whether err, of a call that every server of VI JSON serves to everybody, shows that the
// server does not have this API. Such servers answer with an error of HTTP, with a web page, or with a fault of
// SOAP.
func lacksVIJSON(err error) bool {
	status, ok := errors.AsType[*HTTPError](err)
	if !ok {
		return errors.Is(err, errNotJSON)
	}
	switch status.StatusCode {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType,
		http.StatusInternalServerError, http.StatusNotImplemented:
		return status.fault == nil || status.StatusCode == http.StatusNotFound
	}
	return false
}
