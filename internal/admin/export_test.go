package admin

// MaxPairs is the maximum number of pairs of entities and privileges.
const MaxPairs = maxPairs
