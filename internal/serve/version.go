package serve

// The version that the server reports, and the latest release of the API that it supports.
const (
	Version    = "0.1.0"
	apiVersion = "8.0.3"
	Release    = "8.0.3.0"
)
