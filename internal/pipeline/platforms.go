package pipeline

import (
	"context"

	"usersync/internal/platform"
	"usersync/internal/request"
	"usersync/internal/usersync"
)

// planPlatforms plans the platform steps of the batch and writes the wishes, before
// the account is locked: a pusher locks its own task first and the account after it.
func (st *settlement) planPlatforms(ctx context.Context) error {
	earlier, err := st.earlier(ctx)
	if err != nil {
		return err
	}
	var all wishes
	for _, w := range st.works {
		plan := planSteps(nil, st.targets, 1, usersync.PushState)
		if q := earlier[w.ID]; q != nil {
			plan = planAgain(w, q.Steps, st.targets)
		}
		st.plans = append(st.plans, plan)
		all.add(plan.planned, st.targets, platform.Want{UserID: w.User.ID, RequestID: w.ID,
			Mode: usersync.PushState, Version: st.version(w.User.ID), Rank: platform.RankOrdinary})
	}
	return all.save(ctx, st.tx, st.organization.ID)
}

// version is the one that a user has once this transaction is committed.
func (st *settlement) version(user string) int64 {
	if st.altered[user] {
		return st.users[user].Version + 1
	}
	return st.users[user].Version
}

// earlier locks and reads the requests of which a step was worked before.
func (st *settlement) earlier(ctx context.Context) (map[string]*request.Locked, error) {
	var ids []string
	for _, w := range st.works {
		if !w.Fresh() {
			ids = append(ids, w.ID)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	return request.Lock(ctx, st.tx, st.organization.ID, ids)
}
