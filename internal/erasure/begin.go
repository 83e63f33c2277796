package erasure

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"usersync/internal/audit"
	"usersync/internal/credit"
	"usersync/internal/event"
	"usersync/internal/login"
	"usersync/internal/outbox"
	"usersync/internal/platform"
	"usersync/internal/reaction"
	"usersync/internal/receipt"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// Subject is who is to be erased: a user by id, or whoever has an address.
type Subject struct {
	UserID string
	Email  usersync.Email
	// Company is the registrable domain of the address, "" for personal ones.
	Company string
}

// Traces are where more of an erased person may be found: ids, nothing personal.
type Traces struct {
	ErasureID   string
	UserID      string // "" when the person was no user
	ColleagueID string // "" when there was no colleague record
}

// subject is what the erasing transaction knows of a person.
type subject struct {
	userID, key, email, company, inviteLink string
}

var (
	lockUserStatement = store.Define("erasure.lockUser", `
SELECT id, email_key, email, company, invite_link FROM users WHERE id = $2 AND organization_id = $1 {for update}`)
	lockUserKeyStatement = store.Define("erasure.lockUserKey", `
SELECT id, email_key, email, company, invite_link FROM users WHERE organization_id = $1 AND email_key = $2 {for update}`)
	rememberErasedStatement = store.Define("erasure.rememberErased", `
INSERT INTO erased (organization_id, person, created_at) VALUES ($1, $2, {now}) ON CONFLICT DO NOTHING`)
	// A file without a line of names has its first person in their place.
	forgetColumnsStatement   = store.Define("erasure.forgetColumns", `UPDATE imports SET ignored = '' WHERE organization_id = $1 AND ignored NOT IN ('', 'null')`)
	blankBulkErrorsStatement = store.Define("erasure.blankBulkErrors", `UPDATE bulk_errors SET message = $2 WHERE user_id = $1`)
	dropSignalsStatement     = store.Define("erasure.dropSignals", `DELETE FROM signals WHERE organization_id = $1 AND email_key = $2 AND email_key <> ''`)
	deleteUserStatement      = store.Define("erasure.deleteUser", `DELETE FROM users WHERE id = $1`)
	deletePersonStatement    = store.Define("erasure.deletePerson", `DELETE FROM people WHERE organization_id = $1 AND email_key = $2`)
	// An answer may name an address of any domain: a private one, or one of a company
	// that is the same under another domain.
	dropAnswersStatement = store.DefinePerEngine("erasure.dropAnswers", fmt.Sprintf(dropAnswersText, "strpos"), fmt.Sprintf(dropAnswersText, "instr"))
)

const dropAnswersText = `DELETE FROM source_answers WHERE organization_id = $1 AND (company = $2 AND company <> '' OR %s(answer, $3) > 0)`

// Begin removes a person at once: the user, the entry in the directory and the
// colleague record are gone when it returns, and what was still to be done for
// the user has failed. What is left in older rows goes with the task that plan
// makes. The error is user.ErrNotFound when a user id names none; an address that
// nothing is known of is remembered as erased all the same.
func Begin(ctx context.Context, o *store.Org, actor string, salt []byte, s Subject, plan func(Traces) usersync.Task) (out Erasure, err error) {
	row := erasureRow{ID: usersync.NewID(usersync.PrefixErasure), OrganizationID: o.ID(), Status: receipt.Running}
	err = o.Tx(ctx, func(tx *store.Tx) error {
		p, err := lockSubject(ctx, tx, o.ID(), s)
		if err != nil {
			return err
		}
		if err := platform.WakePushesOf(ctx, tx, p.userID); err != nil {
			return fmt.Errorf("wake the user's pushes: %w", err)
		}
		// Every settling of the organization locks the balance as well: what is
		// settled before is found here, what comes after finds nobody.
		if _, err := credit.Lock(ctx, tx, o.ID()); err != nil {
			return fmt.Errorf("lock the balance: %w", err)
		}
		if err := tenant.Lock(ctx, tx, o.ID()); err != nil {
			return fmt.Errorf("lock the organization: %w", err)
		}
		traces := Traces{ErasureID: row.ID, UserID: p.userID}
		var removed Removed
		if traces.ColleagueID, err = erasePerson(ctx, tx, o.ID(), salt, p, &removed); err != nil {
			return fmt.Errorf("remove the person: %w", err)
		}
		receipts := []receipt.Receipt{}
		if p.userID != "" {
			if receipts, err = platform.ErasePushes(ctx, tx, o.ID(), p.userID, p.email, row.ID); err != nil {
				return fmt.Errorf("remove the user from the platforms: %w", err)
			}
		}
		if p.userID != "" {
			if err := reaction.EndOf(ctx, tx, p.userID, request.ErrErased.Message); err != nil {
				return fmt.Errorf("end the runs of follow-ups: %w", err)
			}
		}
		if err := endRequests(ctx, tx, o.ID(), p.userID); err != nil {
			return fmt.Errorf("end the user's requests: %w", err)
		}
		encoded, err := json.Marshal(receipts)
		if err != nil {
			return fmt.Errorf("encode the receipts of platforms: %w", err)
		}
		row.Platforms, row.UserID, row.CreatedAt = string(encoded), p.userID, store.Micros(time.Now()) //lint:clock a stamp
		if row.Removed, err = encodeRemoved(removed); err != nil {
			return fmt.Errorf("encode what was removed: %w", err)
		}
		if err := tx.GORM().Create(&row).Error; err != nil {
			return fmt.Errorf("insert the erasure: %w", err)
		}
		if err := noteErasure(ctx, tx, o.ID(), actor, row); err != nil {
			return fmt.Errorf("record the erasure: %w", err)
		}
		return outbox.Enqueue(ctx, tx, plan(traces))
	})
	if err != nil {
		return out, err
	}
	return row.erasure()
}

// noteErasure writes the audit row and, for a user, the event.
func noteErasure(ctx context.Context, tx *store.Tx, organization, actor string, row erasureRow) error {
	if err := audit.Record(ctx, tx, organization, actor, "user.erase", cmp.Or(row.UserID, row.ID)); err != nil || row.UserID == "" {
		return err
	}
	return event.Save(ctx, tx, organization, []event.Event{{
		ID: usersync.NewID(usersync.PrefixEvent), Type: event.UserErased, Source: actor, UserID: row.UserID, Cause: row.ID,
	}})
}

func lockSubject(ctx context.Context, tx *store.Tx, organization string, s Subject) (subject, error) {
	if s.UserID != "" {
		p, err := scanSubject(tx.QueryRow(ctx, lockUserStatement, organization, s.UserID))
		if errors.Is(err, sql.ErrNoRows) {
			return p, user.ErrNotFound
		}
		return p, store.Classify(err)
	}
	p, err := scanSubject(tx.QueryRow(ctx, lockUserKeyStatement, organization, s.Email.Key()))
	if errors.Is(err, sql.ErrNoRows) {
		return subject{key: s.Email.Key(), company: s.Company}, nil
	}
	return p, store.Classify(err)
}

func scanSubject(row store.Row) (p subject, err error) {
	return p, row.Scan(&p.userID, &p.key, &p.email, &p.company, &p.inviteLink)
}

// erasePerson deletes what says who the person is and returns the id of their
// colleague record.
func erasePerson(ctx context.Context, tx *store.Tx, organization string, salt []byte, p subject, removed *Removed) (colleague string, err error) {
	if err := tx.Later(ctx, rememberErasedStatement, nil, nil, organization, usersync.KeyedID(usersync.PrefixErasure, salt, p.key)); err != nil {
		return "", fmt.Errorf("remember the erased person: %w", err)
	}
	if removed.People, err = tx.Exec(ctx, deletePersonStatement, nil, organization, p.key); err != nil {
		return "", fmt.Errorf("delete the directory entry: %w", err)
	}
	// A directory service's answers are asked for again, without the person.
	named, err := json.Marshal(p.key) // as answers have it
	if err != nil {
		return "", fmt.Errorf("encode the address: %w", err)
	}
	if err := tx.Later(ctx, dropAnswersStatement, nil, nil, organization, p.company, string(named)); err != nil {
		return "", fmt.Errorf("drop the answers of colleague sources: %w", err)
	}
	if err := tx.Later(ctx, forgetColumnsStatement, nil, nil, organization); err != nil {
		return "", fmt.Errorf("forget the names of columns: %w", err)
	}
	if err := tx.Later(ctx, dropSignalsStatement, nil, nil, organization, p.key); err != nil {
		return "", fmt.Errorf("drop what platforms told of them: %w", err)
	}
	if err := login.DropCodes(ctx, tx, organization, login.Person(salt, usersync.NewEmail(p.key, p.key))); err != nil {
		return "", err
	}
	if colleague, err = eraseColleague(ctx, tx, organization, p, removed); err != nil || p.userID == "" {
		return colleague, err
	}
	if err := tx.Later(ctx, blankBulkErrorsStatement, nil, nil, p.userID, erasedWords); err != nil {
		return colleague, fmt.Errorf("empty the errors of bulks: %w", err)
	}
	if removed.Users, err = tx.Exec(ctx, deleteUserStatement, nil, p.userID); err != nil {
		return colleague, fmt.Errorf("delete the user: %w", err)
	}
	return colleague, nil
}

var (
	// The row stays, so that its id stays taken; its address is the id itself.
	blankColleagueStatement = store.Define("erasure.blankColleague", `
UPDATE colleagues SET email_key = id, email = '', name = '', job_title = '', status = 'deleted', company_name = '', website = '',
    invite_link = '', redirection_link = '', photo = '', team = 0, invited_by = '', latest_action = 0, company = '', department = '',
    seniority = 0, updated_at = {now}
WHERE organization_id = $1 AND email_key = $2 RETURNING id`)
	forgetInviterStatement = store.Define("erasure.forgetInviter", `
UPDATE colleagues SET invited_by = '' WHERE organization_id = $1 AND invited_by = $2 AND invited_by <> ''`)
	// A link of the user's own names them to whoever it invites.
	forgetInviteLinkStatement = store.Define("erasure.forgetInviteLink", `
UPDATE colleagues SET invite_link = '' WHERE id {any}SELECT colleague_id FROM colleague_links WHERE user_id = $1{/any}
    AND organization_id = $2 AND invite_link = $3 AND invite_link <> ''`)
	dropOwnLinksStatement = store.Define("erasure.dropOwnLinks", `DELETE FROM colleague_links WHERE user_id = $1`)
)

func eraseColleague(ctx context.Context, tx *store.Tx, organization string, p subject, removed *Removed) (id string, err error) {
	err = tx.QueryRow(ctx, blankColleagueStatement, organization, p.key).Scan(&id)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", store.Classify(err)
	}
	if id != "" {
		removed.Colleagues = 1
	}
	if err := tx.Later(ctx, forgetInviterStatement, nil, nil, organization, p.key); err != nil {
		return id, fmt.Errorf("forget the inviter: %w", err)
	}
	if p.userID == "" {
		return id, nil
	}
	if err := tx.Later(ctx, forgetInviteLinkStatement, nil, nil, p.userID, organization, p.inviteLink); err != nil {
		return id, fmt.Errorf("forget the invite link: %w", err)
	}
	if removed.Links, err = tx.Exec(ctx, dropOwnLinksStatement, nil, p.userID); err != nil {
		return id, fmt.Errorf("delete the user's colleague links: %w", err)
	}
	return id, nil
}
