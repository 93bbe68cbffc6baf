//go:build mutant_ticket

package session

import "github.com/vigate/vigate/internal/store"

// spend has a planted bug, for the proof that it is found: the ticket, once
// read, is deleted by whoever comes, there or not.
func spend(r store.Record) store.Change { return store.Clear(store.Ticket, r.ID) }
