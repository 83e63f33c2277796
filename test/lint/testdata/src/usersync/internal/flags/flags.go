package flags

type Mode bool

func Release(id string, failed bool) {} // want `Release takes the bool failed: write two functions`

func Mixed(mode Mode) {} // want `Mixed takes the bool mode`

func release(failed bool) {}

func Of(name string) bool { return false }

func Filter(keep func(bool) bool) {}

type Service struct{}

func (*Service) Postpone(failed bool) {} // want `Postpone takes the bool failed`

func (Service) postpone(failed bool) {}

// Note keeps what was seen.
//
//lint:flag failing is what was seen, and is stored
func (*Service) Note(failing bool) {}

type hidden struct{}

func (hidden) Postpone(failed bool) {}
