package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"usersync/internal/destination"
	"usersync/internal/outbox"
	"usersync/internal/request"
	"usersync/internal/usersync"
)

// loaded is what the claim of a run brings along as Known: what is to be worked, and
// the version of the organization with its connections.
type loaded struct {
	works   []request.Work
	version string
}

// claimRunStatement claims tasks of Run and reads with them what they name, as
// request.Load does, and the version of their organization. Each task has a row of its
// own, also when none of its requests is left: they are ended by the run. A version is
// read once, and an organization that is gone has none. Requests and users are looked up
// one at a time, by their keys: a join that was planned while the tables were small
// would read all users.
var claimRunStatement = outbox.DefineClaim("pipeline.claimRun", `
SELECT `+outbox.ClaimColumns+`,
    CASE WHEN c.id = $1 THEN coalesce((SELECT `+destination.VersionText+` FROM organizations o WHERE o.id = c.organization_id), '') ELSE '' END,
    `+request.NoWork+`
FROM claimed c
UNION ALL
SELECT `+outbox.NoClaim+`, '',
    `+request.WorkColumns+`
FROM claimed c CROSS JOIN LATERAL json_array_elements_text(c.args::json -> 'requests') AS r(id)
CROSS JOIN LATERAL (SELECT * FROM requests x WHERE x.organization_id = c.organization_id AND x.id = r.id LIMIT 1) AS q
CROSS JOIN LATERAL (SELECT * FROM users x WHERE x.id = q.user_id LIMIT 1) AS u
WHERE q.task_id = c.id AND `+request.WorkToDo)

// claimRun claims a task of Run, and those that wait beside it, together with what
// they name. On PostgreSQL that is one trip. What the statement reads is as old as the
// claim or a moment older: a run fences what it writes by the versions of what it read.
func (s *Service) claimRun(ctx context.Context, taskID string, generation int64) (usersync.Claim, bool, error) {
	if s.Store.Embedded() {
		return s.claimThenLoad(ctx, taskID, generation)
	}
	var all loaded
	var row request.WorkRow
	var version string
	var unread error
	c, ok, err := outbox.ClaimWith(ctx, s.Store, claimRunStatement, taskID, generation, Run.Coalesce, append([]any{&version}, row.Columns()...), func() {
		all.version = cmp.Or(version, all.version)
		if !row.Found() {
			return
		}
		w, err := row.Work()
		all.works, unread = append(all.works, w), errors.Join(unread, err)
	})
	if err != nil {
		return c, false, fmt.Errorf("claim a run: %w", err)
	}
	if !ok || unread != nil {
		return c, ok, nil // The run loads what cannot be read, and fails of it.
	}
	slices.SortFunc(all.works, func(a, b request.Work) int { return cmp.Compare(a.Sequence, b.Sequence) })
	c.Known = all
	return c, true, nil
}

// claimThenLoad is claimRun for a database without trips. What cannot be loaded is left
// to the run, which fails of it.
func (s *Service) claimThenLoad(ctx context.Context, taskID string, generation int64) (usersync.Claim, bool, error) {
	c, ok, err := outbox.ClaimCoalesced(ctx, s.Store, taskID, generation, Run.Coalesce)
	if err != nil || !ok {
		return c, ok, err
	}
	args, unread := argsOf(c)
	if unread != nil {
		return c, true, nil
	}
	works, unread := request.Load(ctx, s.Store, c, args.RequestIDs)
	version, unversioned := destination.Version(ctx, s.Store, c.Organization)
	if errors.Join(unread, unversioned) == nil {
		c.Known = loaded{works, version}
	}
	return c, true, nil
}
