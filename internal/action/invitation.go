package action

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"usersync/internal/colleague"
	"usersync/internal/invitation"
	"usersync/internal/mail"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

const (
	// invitedAtOnce is how many colleagues an action invites that has no limit of its own.
	invitedAtOnce = 10
	// lettersWithin bounds one try of the action: what is left goes on at the next.
	lettersWithin = 2 * time.Minute
)

var (
	errColleaguesDisabled = usersync.Errorf(usersync.CodeForbidden, "Colleagues are disabled for this organization.")
	errSlowServer         = usersync.Errorf(usersync.CodeUnavailable, "The mail server takes too long for the letters.")
)

// sendInvitation returns the Doer that sends letters by a sender: to the user's colleagues
// who were found or made by hand and not invited so far, the best match first, in the
// user's name.
func sendInvitation(s *store.Store, sender *mail.Sender) Doer {
	return func(ctx context.Context, d Doing) (Done, error) {
		if d.User == nil {
			return Done{}, errNobody
		}
		o, err := tenant.Get(ctx, s, d.Org.ID())
		switch {
		case err != nil:
			return Done{}, fmt.Errorf("read the organization: %w", err)
		case !o.Settings.Colleagues():
			return Done{}, errColleaguesDisabled
		case o.Settings.SMTP == nil:
			return Done{}, invitation.ErrNoServer
		}
		pending, err := colleague.Uninvited(ctx, d.Org, d.User.ID, d.User.Email, cmp.Or(d.Action.Limit, invitedAtOnce))
		if err != nil {
			return Done{}, err
		}
		limited, cancel := context.WithTimeoutCause(ctx, lettersWithin, errSlowServer)
		defer cancel()
		return inviteAll(limited, sender, d, o, pending)
	}
}

// inviteAll invites one after the other. Who was invited is marked before the next letter,
// so that another try leaves them out. A letter that the server refuses for good keeps the
// others from nothing.
func inviteAll(ctx context.Context, sender *mail.Sender, d Doing, o tenant.Organization, pending []colleague.Colleague) (Done, error) {
	invited, refused := 0, 0
	for _, c := range pending { //lint:loop each letter is noted before the next
		_, err := invitation.Send(ctx, sender, d.Org, o, c)
		if err != nil && context.Cause(ctx) != nil {
			return Done{}, context.Cause(ctx)
		}
		if usersync.CodeOf(err) == usersync.CodeRejected {
			refused++
			continue
		}
		if err != nil {
			return Done{}, err
		}
		if _, err := colleague.MarkInvited(ctx, d.Org, d.Run.FollowUpID, c.ID); err != nil && !errors.Is(err, colleague.ErrNotFound) {
			return Done{}, fmt.Errorf("mark the colleague as invited: %w", err)
		}
		invited++
	}
	return Done{Details: invitedSentence(invited, refused)}, nil
}

func invitedSentence(invited, refused int) string {
	out := fmt.Sprintf("Invited %d colleagues", invited)
	switch invited {
	case 0:
		out = "There was no colleague to invite"
	case 1:
		out = "Invited 1 colleague"
	}
	if refused > 0 {
		out += fmt.Sprintf("; the mail server refused %d", refused)
	}
	return out
}
