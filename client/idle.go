package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

// The idle time-outs of servers that don't say theirs are not known. vCenter and ESXi end a session after 30
// minutes without a call unless they are configured otherwise.
const usualIdleTimeout = 30 * time.Minute

// The bounds of the interval that KeepAlive chooses. A session that ends otherwise is noticed within the longest.
const (
	shortestInterval = 100 * time.Millisecond
	longestInterval  = 10 * time.Minute
)

// errNotTold means that the server does not say its idle time-out, or not to this session.
var errNotTold = errors.New("the server does not say its idle time-out")

// IdleTimeout asks the server after which time without a call it ends a session: vigate and its fronts for the
// time-out that is in force, and other servers for the option that sets it. That needs a session, and on some
// servers a privilege. The error does not mean that there is no time-out.
func (c *Client) IdleTimeout(ctx context.Context) (time.Duration, error) {
	// A front has a time-out of its own, which is not that of the options of the server behind it.
	var limits struct {
		IdleSeconds int64 `json:"idleSeconds"`
	}
	own := types.ManagedObjectReference{Type: "VigateSessions", Value: "sessions"}
	if err := c.Property(ctx, own, "limits", &limits); err == nil && limits.IdleSeconds > 0 {
		return time.Duration(limits.IdleSeconds) * time.Second, nil
	}
	content, err := c.serviceContent(ctx)
	if err != nil {
		return 0, err
	}
	if content.Setting == nil {
		return 0, callError("IdleTimeout", errNotTold)
	}
	for _, name := range []string{
		"config.vmacore.soap.sessionTimeout", "Config.HostAgent.vmacore.soap.sessionTimeout", // of vCenter and of ESXi
	} {
		var found []types.BaseOptionValue
		err = c.Invoke(ctx, *content.Setting, "QueryOptions", &types.QueryOptions{Name: name}, &found)
		if err != nil {
			continue // there is no such option, or the session may not read it
		}
		for _, o := range found {
			if d := minutes(o.GetOptionValue().Value); d > 0 {
				return d, nil
			}
		}
	}
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errNotTold, err)
	}
	return 0, callError("IdleTimeout", errNotTold)
}

// minutes returns the value of an option that is a number of minutes, or a text such as "90s". It returns 0 for any
// other value.
func minutes(value any) time.Duration {
	const most = 365 * 24 * 60 // minutes; a longer time-out needs no keep-alive
	var n int64
	switch v := value.(type) {
	case int32:
		n = int64(v)
	case int64:
		n = v
	case string:
		d, err := time.ParseDuration(v)
		if err != nil {
			return 0
		}
		return max(0, d)
	}
	return time.Duration(max(0, min(n, most))) * time.Minute
}

// interval returns a third of the server's idle time-out, within bounds.
func (c *Client) interval(ctx context.Context) time.Duration {
	idle, err := c.IdleTimeout(ctx)
	if err != nil {
		idle = usualIdleTimeout
	}
	return max(shortestInterval, min(idle/3, longestInterval))
}
