package flags

type Mode bool

func Return(id string, failed bool) {} // want `Return takes the bool failed: write two functions`

func Mixed(mode Mode) {} // want `Mixed takes the bool mode`

func hold(failed bool) {}

func Of(name string) bool { return false }

func Filter(keep func(bool) bool) {}

type Service struct{}

func (*Service) Delay(failed bool) {} // want `Delay takes the bool failed`

func (Service) delay(failed bool) {}

// Note keeps what was seen.
//
//lint:flag failing is what was seen, and is stored
func (*Service) Note(failing bool) {}

type hidden struct{}

func (hidden) Delay(failed bool) {}

// Release is known and waits to be mended.
func Release(failed bool) {}
