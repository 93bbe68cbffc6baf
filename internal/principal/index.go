package principal

import "slices"

// Index finds the records of a name. A name has one record, unless an older version, which compared
// names less strictly, has stored two.
type Index map[string][]string // sorted ids of records, by Name.Key

// Put adds a record of the name.
func (x Index) Put(n Name, id string) {
	key := n.Key()
	if i, ok := slices.BinarySearch(x[key], id); !ok {
		x[key] = slices.Insert(slices.Clone(x[key]), i, id)
	}
}

// Delete removes a record of the name.
func (x Index) Delete(n Name, id string) {
	key := n.Key()
	i, ok := slices.BinarySearch(x[key], id)
	switch {
	case !ok:
	case len(x[key]) == 1:
		delete(x, key)
	default:
		x[key] = slices.Delete(slices.Clone(x[key]), i, i+1)
	}
}

// Find returns the ids of the records of the name.
func (x Index) Find(n Name) []string { return x[n.Key()] }
