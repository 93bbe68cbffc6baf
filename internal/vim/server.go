package vim

import (
	"github.com/vmware/govmomi/vim25/types"
)

// ServerInfo is what the server says of itself.
type ServerInfo struct {
	// HostName is the name under which clients reach it.
	HostName string
	// About is complete but for the instance's UUID, which the settings hold.
	About types.AboutInfo
	// SHA1 and SHA256 are the thumbprints of the TLS certificate in force, as
	// AA:BB:….
	SHA1, SHA256 func() string
	// PublicKey is that of the TLS certificate in force, in PEM. nil: it is not
	// told.
	PublicKey func() string
}
