//go:build !mutant_ticket

package session

import "github.com/vigate/vigate/internal/store"

// spend is the change that uses a ticket up: of all commits that hold it for one
// ticket, one succeeds.
func spend(r store.Record) store.Change { return store.DeleteAt(store.Ticket, r.ID, r.Revision) }
