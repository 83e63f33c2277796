package usersync

import "slices"

// ColleagueStatus says how far a colleague has come.
type ColleagueStatus string

// The statuses of a colleague.
const (
	ColleaguePending ColleagueStatus = "pending" // found or made by hand
	ColleagueInvited ColleagueStatus = "invited"
	ColleagueJoined  ColleagueStatus = "joined"  // is a user of the organization
	ColleagueDeleted ColleagueStatus = "deleted" // never shown nor found again
)

// ColleagueStatuses lists every status.
var ColleagueStatuses = []ColleagueStatus{ColleaguePending, ColleagueInvited, ColleagueJoined, ColleagueDeleted}

// Valid reports whether s is one of the statuses.
func (s ColleagueStatus) Valid() bool { return slices.Contains(ColleagueStatuses, s) }

// Colleague is a colleague record as the colleague calls show it: the fields of
// the contract in its order.
type Colleague struct {
	ID              string          `json:"id"`
	Name            string          `json:"name"`
	Email           string          `json:"email"`
	JobTitle        string          `json:"jobTitle"`
	Status          ColleagueStatus `json:"status"`
	CreatedAt       Time            `json:"createdAt"`
	CompanyName     string          `json:"companyName"`
	Website         string          `json:"website"`
	InviteLink      string          `json:"inviteLink"`
	RedirectionLink string          `json:"redirectionLink"`
	Photo           *string         `json:"photo"`
	Team            int64           `json:"team"`
	// Organization is the id of the organization.
	Organization string `json:"wazClientId"`
	// Inviter is the e-mail of who made the colleague or, of one that was found,
	// of the user it was found for.
	Inviter      string `json:"toBeInvitedById"`
	LatestAction Time   `json:"latestAction"`
	UpdatedAt    Time   `json:"updatedAt"`
}
