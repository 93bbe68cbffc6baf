package serve

// What the server calls itself, and the release of the API that it speaks as
// its newest.
const (
	Version    = "0.1.0"
	apiVersion = "8.0.3"
	Release    = "8.0.3.0"
)
