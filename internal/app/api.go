package app

import (
	"usersync/internal/intake"
	"usersync/internal/outbound"
)

func (a *App) buildAPI(guard *outbound.Guard) {
	a.Door = intake.New(intake.Door{Store: a.Store, Metrics: a.metrics, Log: a.o.Log, Wake: a.Relay.Wake, MaxWaiting: a.cfg.MaxWaiting})
	a.waiters = intake.NewWaiters(a.Store, a.Queue, a.o.Log)
}

func (a *App) buildOperations() {}
