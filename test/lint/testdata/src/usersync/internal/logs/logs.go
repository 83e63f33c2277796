package logs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
)

var errOther = errors.New("other")

func both(log *slog.Logger, err error) error {
	if err != nil {
		log.Warn("could not", "error", err)
		return err // want `this error was logged in the same block`
	}
	return err
}

func wrapped(ctx context.Context, err error) (int, error) {
	slog.ErrorContext(ctx, "could not", "error", err.Error())
	return 0, fmt.Errorf("do it: %w", err) // want `this error was logged in the same block`
}

func deeper(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		slog.WarnContext(ctx, "could not", "error", err)
	}
	return err // want `this error was logged in the same block`
}

type service struct{ log *slog.Logger }

func (s service) report(what string, err error) { s.tell(what, err) }

func (s service) tell(what string, err error) { s.log.Warn(what, "error", err) }

func (s service) through(err error, kind int) error {
	switch kind {
	case 1:
		s.report("could not", err)
		return err // want `this error was logged in the same block`
	}
	return nil
}

func (s service) loggedOnly(err error) error {
	s.report("could not", err)
	return nil
}

func (s service) another(err error) error {
	s.report("could not", err)
	return errOther
}

func (s service) answer(err error) bool {
	s.report("could not", err)
	return errors.Is(err, errOther)
}

func (s service) either(err error, log bool) error {
	if log {
		s.report("could not", err)
	} else {
		return err
	}
	return nil
}

func (s service) retried(err error) error {
	for range 3 {
		if err == nil {
			break
		}
		if err != errOther {
			s.report("trying again", err)
			continue
		}
	}
	return err
}

func (s service) later(err error) error {
	defer func() { s.report("could not", err) }()
	return err
}

func (s service) allowed(err error) error {
	s.report("could not", err)
	return err //lint:both the caller tells a person, who does not read the log
}

func (s service) needless(err error) error {
	return err //lint:both nobody logs it // want `allows nothing here`
}
