package vim

import "github.com/vmware/govmomi/vim25/types"

// Requests that govmomi's types leave out.

// LoginExtensionRequestType is that of LoginExtension, which the API has
// withdrawn and still names.
type LoginExtensionRequestType struct {
	This                    types.ManagedObjectReference `xml:"_this" json:"-"`
	ExtensionKey            string                       `xml:"extensionKey" json:"extensionKey"`
	Base64SignedCredentials string                       `xml:"base64SignedCredentials" json:"base64SignedCredentials"`
	Locale                  string                       `xml:"locale,omitempty" json:"locale,omitempty"`
}
