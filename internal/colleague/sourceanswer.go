package colleague

import (
	"context"
	"fmt"
	"time"

	"usersync/internal/store"
)

var sourceAnswersStatement = store.Define("colleague.sourceAnswers", `
SELECT a.company, a.answer FROM {rows} JOIN source_answers a
    ON a.organization_id = r.organization_id AND a.source = r.source AND a.company = r.company
WHERE a.expires_at > {now}`,
	store.Col("organization_id", store.Text), store.Col("source", store.Text), store.Col("company", store.Text))

// SourceAnswers returns, by company, what a directory service said that still
// counts.
func SourceAnswers(ctx context.Context, o *store.Org, source string, companies []string) (map[string]string, error) {
	answers := make(map[string]string, len(companies))
	set := sourceAnswersStatement.Rows(len(companies))
	for _, c := range companies {
		set.Add(o.ID(), source, c)
	}
	_, err := store.Collect(ctx, o.Reader(), sourceAnswersStatement, set, func(scan func(...any) error) (struct{}, error) {
		var company, answer string
		err := scan(&company, &answer)
		answers[company] = answer
		return struct{}{}, err
	})
	if err != nil {
		return answers, fmt.Errorf("read the answers of source %s: %w", source, err)
	}
	return answers, nil
}

var keepSourceAnswerStatement = store.Define("colleague.keepSourceAnswer", `
INSERT INTO source_answers (organization_id, source, company, answer, expires_at) VALUES ($1, $2, $3, $4, {now} + $5)
ON CONFLICT (organization_id, source, company) DO UPDATE SET answer = excluded.answer, expires_at = excluded.expires_at`)

// KeepSourceAnswer keeps what a directory service said of a company for a time.
func KeepSourceAnswer(ctx context.Context, o *store.Org, source, company, answer string, during time.Duration) error {
	if _, err := o.Writer().Exec(ctx, keepSourceAnswerStatement, nil, o.ID(), source, company, answer, during.Microseconds()); err != nil {
		return fmt.Errorf("keep the answer of source %s: %w", source, err)
	}
	return nil
}

var dropSourceAnswersStatement = store.Define("colleague.dropSourceAnswers", `
DELETE FROM source_answers WHERE (organization_id, source, company) IN (
    SELECT organization_id, source, company FROM source_answers WHERE expires_at <= {now} ORDER BY expires_at LIMIT $1)`)

// DropSourceAnswers removes up to limit answers that no longer count.
func DropSourceAnswers(ctx context.Context, s *store.Store, limit int) (int64, error) {
	return s.Writer().Exec(ctx, dropSourceAnswersStatement, nil, limit)
}
