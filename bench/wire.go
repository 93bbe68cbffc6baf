//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/vigate/vigate/bench/load"
	"github.com/vigate/vigate/bench/wire"
)

// floorToken is the token that the floor accepts.
const floorToken = "0123456789abcdef0123456789abcdef01234567"

func readSession(token string) []byte { return wire.Get(wire.SessionManager+"currentSession", token) }

func loginRequest() []byte {
	return wire.Post(wire.SessionManager+"Login", "",
		fmt.Sprintf(`{"userName":%q,"password":%q}`, adminUser, adminPassword))
}

// once sends one request on a new connection and returns the response with its body.
func once(ctx context.Context, t load.Target, request []byte) (load.Answer, error) {
	c, err := load.Dial(ctx, t)
	if err != nil {
		return load.Answer{}, err
	}
	defer c.Close()
	if err := c.Deadline(time.Now().Add(2 * time.Minute)); err != nil {
		return load.Answer{}, err
	}
	c.Keep = true
	a, err := c.Do(request)
	a.Body = bytes.Clone(a.Body)
	return a, err
}

// login logs in to vigate over VI JSON and returns the session's token.
func login(ctx context.Context, s *server) (string, error) {
	a, err := once(ctx, s.target(), loginRequest())
	if err != nil {
		return "", fmt.Errorf("log in to %s: %w", s.name, err)
	}
	if a.Status != http.StatusOK || len(a.Token) == 0 {
		return "", fmt.Errorf("log in to %s: status %d: %.300s", s.name, a.Status, a.Body)
	}
	return string(a.Token), nil
}

func peerLoginRequest() []byte {
	return wire.SOAPMethod("", "Login", "<userName>bench</userName><password>bench</password>")
}

// peerLogin logs in to the peer and returns the session's cookie.
func peerLogin(ctx context.Context, s *server) (string, error) {
	a, err := once(ctx, s.target(), peerLoginRequest())
	if err != nil {
		return "", fmt.Errorf("log in to %s: %w", s.name, err)
	}
	if a.Status != http.StatusOK || len(a.Cookie) == 0 {
		return "", fmt.Errorf("log in to %s: status %d: %.300s", s.name, a.Status, a.Body)
	}
	return string(a.Cookie), nil
}

// servesSOAP reports whether vigate serves reads over SOAP with the session.
func servesSOAP(ctx context.Context, s *server, token string) (bool, error) {
	a, err := once(ctx, s.target(), wire.SOAPProperty(token, "currentSession"))
	if err != nil {
		return false, err
	}
	return a.Status == http.StatusOK && bytes.Contains(a.Body, []byte("loginTime")), nil
}

// check sends a request and checks that the response contains a text. It ensures that the benchmark
// measures the intended request.
func check(ctx context.Context, t load.Target, request []byte, text string) (int, error) {
	a, err := once(ctx, t, request)
	if err != nil {
		return 0, err
	}
	if a.Status != http.StatusOK || !bytes.Contains(a.Body, []byte(text)) {
		return 0, fmt.Errorf("status %d without %q: %.300s", a.Status, text, a.Body)
	}
	return len(a.Body), nil
}
