package vim

// Turns returns how many calls have a turn, and how many wait for one.
func (a *API) Turns() (running, waiting int) { return a.turns.Load() }

// WaitingForTurns returns how many calls wait for a turn.
func (a *API) WaitingForTurns() int {
	_, waiting := a.turns.Load()
	return waiting
}
