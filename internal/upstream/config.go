package upstream

import (
	"time"

	"github.com/vigate/vigate/internal/upstream/settings"
)

// The configuration of an upstream. See package settings.
type (
	Config        = settings.Config
	AccountConfig = settings.AccountConfig
	Dispense      = settings.Dispense
)

// limits are the limits of the configuration, which a reload changes.
type limits struct {
	sessions, requests, waits int
	patience, idle, age       time.Duration
}

func limitsOf(c *Config) limits {
	return limits{
		sessions: c.MaxSessions, requests: c.MaxRequests, waits: c.MaxWaits,
		patience: c.WaitTimeout, idle: c.IdleTimeout, age: c.MaxLifetime,
	}
}
