// Package manager shows the keys of the token service to clients of the API, and replaces them: the managed
// object VigateTokenService. It is an addition to the API, which other servers do not have.
//
// [Serve] adds the object. Its property signingKeys lists the keys, of which only the certificates are shown.
// Its method ReplaceSigningKey makes a new key that signs at once. The package decides who may do that; package
// signing keeps the keys.
package manager

import (
	"context"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/sts/signing"
	"github.com/vigate/vigate/internal/vim"
)

// These name the managed object. They are part of the protocol.
const (
	objectType = "VigateTokenService"
	objectID   = "token-service"
)

// VigateSigningKey is a key of the token service as clients see it. The names of the type and its members are
// part of the protocol.
type VigateSigningKey struct {
	Number     int64  `xml:"number" json:"number"`
	Thumbprint string `xml:"thumbprint" json:"thumbprint"` // SHA-256 of the certificate, in hexadecimal digits
	// State is "signing", "next" or "trusted".
	State string `xml:"state" json:"state"`
	// SignsFrom is when it begins to sign, or began. TrustedUntil is when its tokens are not accepted any more;
	// it is unset for the newest key.
	SignsFrom    time.Time  `xml:"signsFrom" json:"signsFrom"`
	TrustedUntil *time.Time `xml:"trustedUntil,omitempty" json:"trustedUntil,omitempty"`
}

// ReplaceSigningKeyRequestType is the request of ReplaceSigningKey.
type ReplaceSigningKeyRequestType struct {
	This types.ManagedObjectReference `xml:"_this" json:"-"`
	// Distrust says that the tokens of all other keys are not accepted any more.
	Distrust bool `xml:"distrust" json:"distrust"`
}

// Serve adds the object to the API. events makes the changes that post events. Call it before the first
// request.
func Serve(api *vim.API, keys *signing.Keys, events *event.Log) error {
	m := manager{keys, events}
	return api.Add(&vim.Object{
		Type: objectType, ID: objectID,
		Methods: []vim.Method{
			vim.NewMethod("ReplaceSigningKey", access.AdministerCertificates, m.replace, vim.Audited,
				vim.Faults("LimitExceeded")),
		},
		Properties: []vim.Property{vim.NewProperty("signingKeys", vim.Read, m.list)},
		Errors:     []vim.Mapping{vim.Map(signing.ErrTooMany, vim.Plain[types.LimitExceeded])},
	})
}

type manager struct {
	keys   *signing.Keys
	events *event.Log
}

func (m manager) list(context.Context, *vim.Call) ([]VigateSigningKey, error) {
	var all []VigateSigningKey
	for _, k := range m.keys.List() {
		all = append(all, show(k))
	}
	return all, nil
}

// replace posts the event in the commit that replaces the key.
func (m manager) replace(ctx context.Context, c *vim.Call, r *ReplaceSigningKeyRequestType) (VigateSigningKey, error) {
	c.Note("distrust", strconv.FormatBool(r.Distrust))
	id := "vigate.signingkey.replaced"
	if r.Distrust {
		id = "vigate.signingkey.distrusted"
	}
	made, err := m.keys.Replace(ctx, r.Distrust, func(made signing.Key) []store.Change {
		e := event.Event{
			Type: "EventEx", ID: id, Subject: strconv.FormatUint(made.Number, 10), Address: c.Peer.Address,
			Args: map[string]string{"thumbprint": hex.EncodeToString(made.Thumbprint[:])},
		}
		return []store.Change{m.events.Change(e.By(c.Session.Actor()))}
	})
	if err != nil {
		return VigateSigningKey{}, err
	}
	c.Note("key", strconv.FormatUint(made.Number, 10))
	return show(made), nil
}

// show returns the key in the form for clients.
func show(k signing.Key) VigateSigningKey {
	v := VigateSigningKey{
		Number: int64(k.Number), Thumbprint: hex.EncodeToString(k.Thumbprint[:]), State: string(k.State),
		SignsFrom: k.Signs,
	}
	if !k.Until.IsZero() {
		v.TrustedUntil = &k.Until
	}
	return v
}
