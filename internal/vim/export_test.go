package vim

// Owned is how many objects of sessions are remembered, and of how many sessions.
func (a *API) Owned() (objects, sessions int) {
	a.instances.mu.Lock()
	defer a.instances.mu.Unlock()
	return len(a.instances.state), len(a.instances.owned)
}

// Turns is how many calls have a turn, and how many wait for one.
func (a *API) Turns() (running, waiting int) { return a.turns.Load() }

// WaitingForTurns is how many calls wait for a turn.
func (a *API) WaitingForTurns() int {
	_, waiting := a.turns.Load()
	return waiting
}
