package request

// Reasons why a step waits for its connection, at which nothing is pushed for now.
const (
	ReasonConnectionPaused       = "connection_paused"
	ReasonConnectionDisconnected = "connection_disconnected"
)

// restSentences say what brings a connection back.
var restSentences = map[string]string{
	ReasonConnectionPaused:       "The connection is paused; this waits until it is resumed",
	ReasonConnectionDisconnected: "The connection is disconnected, and its reason says why; this waits until that is repaired",
}

// waits reports whether something is still to be done about a step.
func (s StepStatus) waits() bool {
	return s == StepPending || s == StepRetrying || s == StepAwaitingCredits
}

// AtRest returns a step as it is shown while nothing is pushed to its connection for a
// reason of these: skipped, although it waits. It returns any other step, and one for
// any other reason, as it is. Rows of steps do not say it, see docs/adr/0022.
func (s Step) AtRest(reason string) Step {
	sentence, rests := restSentences[reason]
	if !rests || !s.Status.waits() {
		return s
	}
	return Step{Position: s.Position, Name: s.Name, Platform: s.Platform, ConnectionID: s.ConnectionID, Attempts: s.Attempts,
		Status: StepSkipped, Reason: reason, Details: sentence}
}

// Rests reports whether the request waits for connections at which nothing is pushed, and
// for nothing else: it may stay as it is for weeks.
func (r View) Rests() bool {
	rests := false
	for _, s := range r.Steps {
		if s.Status.waits() {
			return false
		}
		_, one := restSentences[s.Reason]
		rests = rests || one && s.Status == StepSkipped
	}
	return rests && !r.Status.Final()
}
