package main

import (
	"context"
	"fmt"
	"time"

	"github.com/vigate/vigate/client"
	"github.com/vigate/vigate/internal/lab"
	"github.com/vigate/vigate/internal/secret"
)

// leak logs in as the service account that never logs out, again and again until ctx ends. A login that is
// refused because there are too many sessions is what the account is there to show.
func leak(ctx context.Context, server *lab.Server, password secret.Text, every time.Duration) error {
	c, err := client.New(ctx, client.Config{
		URL: "https://" + server.Front().String(), UserAgent: "leaky-service/1.0", Release: "8.0.1.0",
		TLS: client.TLS{Thumbprint: server.Thumbprint()},
	})
	if err != nil {
		return fmt.Errorf("make the client that leaks: %w", err)
	}
	defer c.Close()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		c.SetToken(client.Token{}) // a client in a session can't log in
		_, _ = c.Login(ctx, lab.Leaker, password.Reveal(), "")
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
