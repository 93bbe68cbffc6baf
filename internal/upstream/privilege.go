package upstream

// privileges is replaced below.
type privileges struct{}
