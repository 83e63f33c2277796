package request

import (
	"context"
	"time"

	"usersync/internal/store"
	"usersync/internal/usersync"
)

var progressStatement = store.Define("request.progress", `
SELECT b.request_id, b.planned, b.total, b.done, b.added, b.updated, b.unchanged, b.removed, b.skipped, b.errors, b.audience_id, b.created_at, {now}
FROM {rows} JOIN bulks b ON b.request_id = r.id WHERE b.organization_id = $1`, store.Col("id", store.Text))

// fillProgress shows how far the bulks among the views have come.
func fillProgress(ctx context.Context, o *store.Org, db store.Conn, byID map[string]*stored) error {
	var ids []string
	for id, q := range byID {
		if q.view.Kind == KindPlatformBulk {
			q.view.Progress = &Progress{}
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	_, err := store.Collect(ctx, db, progressStatement, store.IDRows(progressStatement, ids), func(scan func(...any) error) (struct{}, error) {
		var id string
		var p Progress
		var planned, began, now int64
		err := scan(&id, &planned, &p.Total, &p.Done, &p.Added, &p.Updated, &p.Unchanged, &p.Removed, &p.Skipped, &p.Errors, &p.AudienceID, &began, &now)
		q := byID[id]
		if err != nil || q == nil {
			return struct{}{}, err
		}
		until := store.At(now)
		if q.view.Status.Final() {
			until = q.view.FinishedAt.Time
		}
		p.Planned = planned > 0
		p.Estimate(store.At(began), until)
		q.view.Progress = &p
		return struct{}{}, nil
	}, o.ID())
	return err
}

// Estimate fills in rate and end of a bulk that began at began, as seen at now.
func (p *Progress) Estimate(began, now time.Time) {
	if seconds := now.Sub(began).Seconds(); seconds > 0 {
		p.PerSecond = float64(int64(float64(p.Done)/seconds*10+0.5)) / 10
	}
	if left := p.Total - p.Done; p.Planned && left > 0 && p.PerSecond > 0 {
		p.ETA = usersync.Time{Time: now.Add(time.Duration(float64(left) / p.PerSecond * float64(time.Second)))}
	}
}

// Progress is how far a bulk has come.
type Progress struct {
	// Planned says that Total is final: every user has been counted.
	Planned bool  `json:"-"`
	Total   int64 `json:"total"`
	Done    int64 `json:"done"`
	// Of those done:
	Added     int64 `json:"added"`
	Updated   int64 `json:"updated"`
	Unchanged int64 `json:"unchanged"`
	Removed   int64 `json:"removed"`
	Skipped   int64 `json:"skipped"`
	Errors    int64 `json:"errors"`
	// PerSecond is the rate since it began, ETA when it will be done at that rate.
	PerSecond float64       `json:"perSecond"`
	ETA       usersync.Time `json:"eta,omitzero"`
	// AudienceID names the audience that was made.
	AudienceID string `json:"audienceId,omitempty"`
}
