// Package vigatetest runs a vigate server in the process of a Go test. The server is a real session manager
// of the vSphere API: it checks passwords and privileges, limits and ends sessions, and locks users out. So a
// test can see how a client behaves when its session expires, is terminated, or is refused.
//
//	func TestMyTool(t *testing.T) {
//		server := vigatetest.New(t)
//		c := server.Govmomi(t, vigatetest.Administrator())
//		…
//		server.EndAll() // the next call fails with NotAuthenticated
//	}
//
// [New] starts a server for a test, and [Start] does so without one. [Server.URL] is the address for any
// client of the API, and [Server.Govmomi] and [Server.Client] return clients that are logged in.
//
// # Time
//
// The server's clock stands still until [Server.Advance] moves it. So no session expires on a slow machine, and
// a test of expiry does not wait. Delays of the network, and the time that a call may wait for an update, pass as
// usual.
//
// # Inventory
//
// Without options a server has sessions, users, roles and events, but no virtual machines or hosts. With
// [WithInventory] it stands in front of govmomi's simulator of a vCenter or an ESXi host.
//
// # What is kept
//
// All data is in memory and ends with the server. A server has a self-signed certificate of its own, which
// [Server.CertPool] and [Server.Thumbprint] let a client trust.
package vigatetest
