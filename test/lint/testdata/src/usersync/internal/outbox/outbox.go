package outbox

import "time"

type task struct{ due, begun time.Time }

func decides(t task) bool {
	return t.due.Before(time.Now()) // want `time.Now asks the clock of the process`
}

func old(t task) bool {
	return time.Since(t.due) > time.Minute // want `time.Since asks the clock of the process`
}

func pause(t task) time.Duration {
	return time.Until(t.due) // want `time.Until asks the clock of the process`
}

func measures(t *task) time.Duration {
	began := time.Now()  //lint:clock it measures how long this takes
	t.begun = time.Now() //lint:clock it measures how long the task takes
	return time.Since(began) + time.Since(t.begun)
}

func nothing() int {
	//lint:clock nothing // want `//lint:clock allows nothing here`
	return 1
}

func unexplained() time.Time {
	return time.Now() //lint:clock // want `//lint:clock needs a reason`
}
