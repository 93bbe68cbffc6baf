package vim

// Owned is how many objects of sessions are remembered, and of how many sessions.
func (a *API) Owned() (objects, sessions int) {
	a.instances.mu.Lock()
	defer a.instances.mu.Unlock()
	return len(a.instances.state), len(a.instances.owned)
}
