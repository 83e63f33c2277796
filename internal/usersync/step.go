package usersync

import "time"

// StepName says what part of a request a step is.
type StepName string

// The steps of a request.
const (
	StepColleagues StepName = "colleagues"
	StepPlatform   StepName = "platform"
	StepFollowUps  StepName = "followups"
)

// StepStatus says how far a step has come.
type StepStatus string

// The statuses of a step. would_sync, synced and unchanged belong to platform
// steps.
const (
	StepPending         StepStatus = "pending"
	StepRetrying        StepStatus = "retrying"
	StepAwaitingCredits StepStatus = "awaiting_credits"
	StepSucceeded       StepStatus = "succeeded"
	StepWouldSync       StepStatus = "would_sync" // the outcome of a dry run
	StepSynced          StepStatus = "synced"
	StepUnchanged       StepStatus = "unchanged"
	StepSkipped         StepStatus = "skipped"
	StepFailed          StepStatus = "failed"
)

// Reasons a step was skipped.
const (
	ReasonPersonalEmail      = "personal_email"
	ReasonDisposableEmail    = "disposable_email"
	ReasonRoleAddress        = "role_address"
	ReasonNoCompany          = "no_company"
	ReasonColleaguesDisabled = "colleagues_disabled"
)

// Step is one part of a request with its own status and attempts.
type Step struct {
	Position      int
	Name          StepName
	Platform      string // of a platform step
	ConnectionID  string // of a platform step
	Status        StepStatus
	Reason        string // why it was skipped
	Attempts      int
	NextAttemptAt time.Time
	Details       string // one sentence for people
	ErrorCode     Code
	ErrorMessage  string
	Found         []Match // of the colleagues step
}

// Match is one colleague found for a user: who, how good a match, and why.
type Match struct {
	ColleagueID string   `json:"id"`
	Score       float64  `json:"score"` // 0 to 1
	Reasons     []string `json:"reasons"`
}
