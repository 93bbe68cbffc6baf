module github.com/vigate/vigate/bench

go 1.26.0

require (
	github.com/vigate/vigate v0.0.0-00010101000000-000000000000
	github.com/vmware/govmomi v0.55.0
	golang.org/x/crypto v0.58.0
)

require (
	github.com/google/uuid v1.6.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/vigate/vigate => ../
