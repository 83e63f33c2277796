package colleague

import (
	"slices"

	"usersync/internal/usersync"
)

// Status says how far a colleague has come.
type Status string

// The statuses of a colleague.
const (
	Pending Status = "pending" // found or made by hand
	Invited Status = "invited"
	Joined  Status = "joined"  // is a user of the organization
	Deleted Status = "deleted" // never shown nor found again
)

// Statuses lists every status.
var Statuses = []Status{Pending, Invited, Joined, Deleted}

// Valid reports whether s is one of the statuses.
func (s Status) Valid() bool { return slices.Contains(Statuses, s) }

// Colleague is a colleague record as the colleague calls show it: the fields of
// the contract in its order.
type Colleague struct {
	ID              string        `json:"id"`
	Name            string        `json:"name"`
	Email           string        `json:"email"`
	JobTitle        string        `json:"jobTitle"`
	Status          Status        `json:"status"`
	CreatedAt       usersync.Time `json:"createdAt"`
	CompanyName     string        `json:"companyName"`
	Website         string        `json:"website"`
	InviteLink      string        `json:"inviteLink"`
	RedirectionLink string        `json:"redirectionLink"`
	Photo           *string       `json:"photo"`
	Team            int64         `json:"team"`
	// Organization is the id of the organization.
	Organization string `json:"wazClientId"`
	// Inviter is the e-mail of who made the colleague or, of one that was found,
	// of the user it was found for.
	Inviter      string        `json:"toBeInvitedById"`
	LatestAction usersync.Time `json:"latestAction"`
	UpdatedAt    usersync.Time `json:"updatedAt"`
}

// Reasons a step was skipped.
const (
	ReasonPersonalEmail      = "personal_email"
	ReasonDisposableEmail    = "disposable_email"
	ReasonRoleAddress        = "role_address"
	ReasonNoCompany          = "no_company"
	ReasonColleaguesDisabled = "colleagues_disabled"
)
