package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/vigate/vigate/internal/secret"
)

// Automation is how a server has sessions of the Automation API.
type Automation struct {
	// Path is that of the sessions. It is empty if the server has no such API.
	Path string
	// Shared is set if a session of SOAP is also one of this API.
	Shared bool
}

// tokenHeader is the header that carries a session of the Automation API.
const tokenHeader = "vmware-api-session-id"

// ErrUnauthorized means that the server has refused a name and password.
var ErrUnauthorized = errors.New("the upstream answered HTTP status 401")

const (
	restPath   = "/rest/com/vmware/cis/session" // before vCenter 7
	apiPath    = "/api/session"
	maxSession = 64 << 10 // bytes of an answer about a session
)

// findAutomation finds out how the server has sessions of the Automation API, by using the cookie of a
// session of SOAP there.
func (c *Client) findAutomation(ctx context.Context) (Automation, error) {
	for _, path := range []string{apiPath, restPath} {
		w, _, err := c.automation(ctx, http.MethodGet, path, c.Cookie.Value, nil)
		if err != nil {
			return Automation{}, fmt.Errorf("find Automation API: %w", err)
		}
		switch {
		case w.StatusCode == http.StatusOK:
			return Automation{Path: path, Shared: true}, nil
		case w.StatusCode == http.StatusUnauthorized || w.StatusCode == http.StatusForbidden:
			return Automation{Path: path}, nil
		case w.StatusCode >= http.StatusInternalServerError:
			return Automation{}, fmt.Errorf("find Automation API: %w", &StatusError{w.StatusCode})
		}
	}
	return Automation{}, nil
}

// LoginAutomation makes a session of the Automation API and returns its token. Errors are like those of
// Login, or ErrUnauthorized.
func (c *Client) LoginAutomation(ctx context.Context, path, user string, password secret.Text) (secret.Text, error) {
	w, body, err := c.automation(ctx, http.MethodPost, path, secret.Text{}, func(r *http.Request) {
		r.SetBasicAuth(user, password.Reveal())
	})
	switch {
	case err != nil:
	case w.StatusCode == http.StatusUnauthorized:
		err = ErrUnauthorized
	case w.StatusCode != http.StatusOK && w.StatusCode != http.StatusCreated:
		err = &StatusError{w.StatusCode}
	}
	if err != nil {
		return secret.Text{}, fmt.Errorf("log in to Automation API: %w", err)
	}
	var token string
	if json.Unmarshal(body, &token) != nil {
		var older struct{ Value string }
		_ = json.Unmarshal(body, &older) // the token is empty then
		token = older.Value
	}
	if token == "" {
		return secret.Text{}, errors.New("log in to Automation API: the answer has no session")
	}
	return secret.New(token), nil
}

// LogoutAutomation ends a session of the Automation API. It is no error if it has ended before.
func (c *Client) LogoutAutomation(ctx context.Context, path string, token secret.Text) error {
	w, _, err := c.automation(ctx, http.MethodDelete, path, token, nil)
	if err == nil && w.StatusCode >= http.StatusBadRequest && w.StatusCode != http.StatusUnauthorized &&
		w.StatusCode != http.StatusNotFound {
		err = &StatusError{w.StatusCode}
	}
	if err != nil {
		return fmt.Errorf("log out of Automation API: %w", err)
	}
	return nil
}

// automation sends a request about sessions of the Automation API and reads the answer.
func (c *Client) automation(ctx context.Context, method, path string, token secret.Text, edit func(*http.Request)) (
	*http.Response, []byte, error) {
	u := c.Transport.URL()
	u = &url.URL{Scheme: u.Scheme, Host: u.Host, Path: path}
	r, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, nil, err
	}
	r.Header.Set("User-Agent", c.UserAgent)
	r.Header.Set("Accept", "application/json")
	r.Header.Set("vmware-use-header-authn", "true")
	if !token.IsZero() {
		r.Header.Set(tokenHeader, token.Reveal())
	}
	if edit != nil {
		edit(r)
	}
	w, err := c.Transport.roundTrip(r, c.Fresh)
	if err != nil {
		return nil, nil, err
	}
	defer w.Body.Close()
	body, err := io.ReadAll(io.LimitReader(w.Body, maxSession))
	if err != nil {
		return nil, nil, fmt.Errorf("read answer: %w", err)
	}
	return w, body, nil
}
