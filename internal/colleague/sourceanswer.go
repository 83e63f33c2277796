package colleague

import (
	"context"
	"fmt"
	"time"

	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/user"
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

// SourceAnswer is what a directory service said, as it is kept.
type SourceAnswer struct {
	Source, Company string
	// People are the e-mail keys of whom it names.
	People []string
	// Text returns the answer without the people who were erased, by e-mail key.
	Text func(erased map[string]bool) (string, error)
	For  time.Duration
}

// KeepSourceAnswer keeps what a directory service said of a company for a time. An
// erasure takes the same lock: it finds the answer, or the answer leaves its person out.
func KeepSourceAnswer(ctx context.Context, o *store.Org, a SourceAnswer) error {
	err := o.Tx(ctx, func(tx *store.Tx) error {
		salt, err := tenant.LockSalt(ctx, tx, o.ID())
		if err != nil {
			return fmt.Errorf("lock the organization: %w", err)
		}
		erased, err := user.ErasedAmong(ctx, tx, o.ID(), salt, a.People)
		if err != nil {
			return fmt.Errorf("compare the answer with who was erased: %w", err)
		}
		text, err := a.Text(erased)
		if err != nil {
			return fmt.Errorf("encode the answer: %w", err)
		}
		return tx.Later(ctx, keepSourceAnswerStatement, nil, nil, o.ID(), a.Source, a.Company, text, a.For.Microseconds())
	})
	if err != nil {
		return fmt.Errorf("keep the answer of source %s: %w", a.Source, err)
	}
	return nil
}

var dropSourceAnswersStatement = store.Define("colleague.dropSourceAnswers", `
DELETE FROM source_answers WHERE {row} {any}
    SELECT {row} FROM source_answers WHERE expires_at <= (SELECT {now}) ORDER BY expires_at LIMIT $1 {skip locked}{/any}`)

// DropSourceAnswers removes up to limit answers that no longer count, and passes those
// that somebody has locked.
func DropSourceAnswers(ctx context.Context, s *store.Store, limit int) (int64, error) {
	return s.Writer().Exec(ctx, dropSourceAnswersStatement, nil, limit)
}
