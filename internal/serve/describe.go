package serve

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/server"
	"github.com/vigate/vigate/internal/setting"
)

// ticketThumbprint returns the thumbprint of the server's certificate.
func (n *Node) ticketThumbprint() string { return thumbprintOf(n.certificate) }

// thumbprintOf returns the certificate's SHA-1 in the form of clone tickets.
func thumbprintOf(c *server.Certificate) string {
	sum, _ := c.Thumbprints()
	return strings.ReplaceAll(colons(sum[:]), ":", "-")
}

func colons(b []byte) string {
	return strings.ReplaceAll(fmt.Sprintf("% X", b), " ", ":")
}

// baseValues returns the options as flags and the configuration file set them.
func baseValues(cfg config.Config) setting.Values {
	v := setting.Defaults()
	v.IdleTimeout, v.MaxLifetime, v.TicketLifetime = cfg.IdleTimeout, cfg.MaxLifetime, cfg.TicketLifetime
	v.MaxSessions, v.MaxPerPrincipal = cfg.MaxSessions, cfg.MaxSessionsPerUser
	v.DefaultLocale = cfg.DefaultLocale
	l := cfg.Lockout
	v.Pair = setting.Lockout{Failures: l.Failures, Interval: l.Window, Duration: l.Duration}
	v.Principal = setting.Lockout{Failures: l.UserFailures, Interval: l.UserWindow, Duration: l.Duration}
	v.Address = setting.Lockout{Failures: l.AddressFailures, Interval: l.AddressWindow, Duration: l.Duration}
	return v
}

// about returns the server's description: the kind of API that clients expect, and an honest name.
func about() types.AboutInfo {
	return types.AboutInfo{
		Name: "vigate", FullName: "vigate " + Version + " session manager for the vSphere API", Vendor: "vigate",
		Version: apiVersion, PatchLevel: "00000", Build: buildNumber(Version), OsType: "linux-x64",
		ProductLineId:      "vpx",
		LicenseProductName: "vigate", LicenseProductVersion: apiVersion[:strings.LastIndexByte(apiVersion, '.')],
		ApiType: "VirtualCenter", ApiVersion: Release, LocaleVersion: "INTL", LocaleBuild: "000",
	}
}

// buildNumber returns the version as the number that clients expect of a build: the major version,
// then three digits each for minor version and patch.
func buildNumber(version string) string {
	var n int
	for part := range strings.SplitSeq(version, ".") {
		digits, err := strconv.Atoi(part)
		if err != nil {
			break // such as "0-dev"
		}
		n = n*1000 + digits
	}
	return strconv.Itoa(n)
}
