package admin

// MaxPairs is the bound of entities times privileges.
const MaxPairs = maxPairs
