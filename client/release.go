package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// fallbackRelease is the first release with VI JSON, which every later server
// still serves. The first ones do not know hello.
const fallbackRelease = "8.0.1.0"

// knownReleases are offered to the server, the preferred one first. The types of
// this package's dependency know all of them.
var knownReleases = []string{"9.1.0.0", "9.0.0.0", "8.0.3.0", "8.0.2.0", fallbackRelease}

// negotiate asks the server which release of the API to use.
func (c *Client) negotiate(ctx context.Context) (string, error) {
	body, err := json.Marshal(map[string][]string{"api_releases": knownReleases})
	if err != nil {
		return "", fmt.Errorf("negotiate release: %w", err)
	}
	target := c.base
	target.Path, target.RawQuery = "/api/vcenter/system", "action=hello"
	q := exchange{
		operation: "hello",
		method:    http.MethodPost,
		url:       target,
		body:      body,
		// hello changes nothing, though it is a POST.
		read: true,
	}
	answer, err := c.send(ctx, q, Token{})
	if err != nil {
		if lacksHello(err) {
			return fallbackRelease, nil
		}
		return "", fmt.Errorf("negotiate release: %w", err)
	}
	var chosen struct {
		Release string `json:"api_release"`
	}
	if err := json.Unmarshal(answer.body, &chosen); err != nil {
		return "", errors.New("negotiate release: answer is not that of hello")
	}
	if !slices.Contains(knownReleases, chosen.Release) {
		return "", fmt.Errorf("negotiate release: the server chose %.40q of %q", chosen.Release, knownReleases)
	}
	return chosen.Release, nil
}

// lacksHello tells a server that does not serve hello from one that is not
// there: any answer is from a server but those of gateways for want of one.
func lacksHello(err error) bool {
	if status, ok := errors.AsType[*HTTPError](err); ok {
		return !retryableStatus(status.StatusCode) && status.StatusCode != http.StatusTooManyRequests
	}
	_, isFault := errors.AsType[*FaultError](err)
	return isFault || errors.Is(err, errNotJSON)
}
