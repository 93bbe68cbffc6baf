//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/bench/figure"
	"github.com/vigate/vigate/bench/wire"
	goclient "github.com/vigate/vigate/client"
)

// clientCalls is the number of calls of each side in a round.
const clientCalls = 2000

// client measures P10: it compares the Go client with code that makes the same call with net/http
// and encoding/json only. Their calls alternate.
func client(ctx context.Context, r *rig) ([]figure.Figure, error) {
	if err := r.basic(ctx); err != nil {
		return nil, err
	}
	base := "http://" + r.vigate.plain
	c, err := goclient.New(ctx, goclient.Config{URL: base, Release: "8.0.3.0"})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if _, err := c.ServiceContent(ctx); err != nil {
		return nil, err
	}
	c.SetToken(goclient.NewToken(r.token))
	hc := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 2 * time.Minute}
	defer hc.CloseIdleConnections()

	var bare, typed figure.Series
	for range r.Rounds {
		var bares, typeds figure.Series
		for range clientCalls {
			began := time.Now()
			if err := bareRead(ctx, hc, base, r.token); err != nil {
				return nil, err
			}
			middle := time.Now()
			if s, err := c.CurrentSession(ctx); err != nil || s == nil || s.Key == "" {
				return nil, fmt.Errorf("read session by the client: %v, %w", s, err)
			}
			bares = append(bares, float64(middle.Sub(began).Nanoseconds())/1000)
			typeds = append(typeds, float64(time.Since(middle).Nanoseconds())/1000)
		}
		bare, typed = append(bare, bares.Median()), append(typed, typeds.Median())
	}
	return []figure.Figure{{ID: "P10", What: "currentSession by the Go client, against net/http and encoding/json",
		Unit: "µs", Floor: bare, Vigate: typed, Against: "floor", Ratio: typed.Over(bare),
		Goal: figure.AtMost(1.10)}}, nil
}

func bareRead(ctx context.Context, hc *http.Client, base, token string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+wire.SessionManager+"currentSession", nil)
	if err != nil {
		return err
	}
	req.Header.Set("vmware-api-session-id", token)
	resp, err := hc.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var s types.UserSession
	if err := json.Unmarshal(b, &s); err != nil || s.Key == "" {
		return fmt.Errorf("read session by net/http: status %d: %w", resp.StatusCode, err)
	}
	return nil
}
