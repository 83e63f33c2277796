package usersync

import "time"

// Report is a request as the API shows it and as webhooks carry it, field by
// field after the contract of GET /v1/requests/{requestId}.
type Report struct {
	RequestID  string            `json:"requestId"`
	Kind       RequestKind       `json:"kind"`
	Status     RequestStatus     `json:"status"`
	UserID     string            `json:"userId"`
	Email      string            `json:"email"`
	CreatedAt  Time              `json:"createdAt"`
	StartedAt  Time              `json:"startedAt,omitzero"`
	FinishedAt Time              `json:"finishedAt,omitzero"`
	Steps      []ReportStep      `json:"steps"`
	Colleagues *ReportColleagues `json:"colleagues,omitempty"`
	// Progress is of a bulk.
	Progress *Progress       `json:"progress,omitempty"`
	Credits  ReportCredits   `json:"credits"`
	Webhooks []ReportWebhook `json:"webhooks,omitempty"`
}

// ReportStep is a step in a report.
type ReportStep struct {
	Name          StepName     `json:"name"`
	Platform      string       `json:"platform,omitempty"`
	ConnectionID  string       `json:"connectionId,omitempty"`
	Status        StepStatus   `json:"status"`
	Reason        string       `json:"reason,omitempty"`
	Attempts      int          `json:"attempts"`
	NextAttemptAt Time         `json:"nextAttemptAt,omitzero"`
	Details       string       `json:"details,omitempty"`
	Error         *ReportError `json:"error,omitempty"`
}

// ReportError says what went wrong, whose fault it is and what to do.
type ReportError struct {
	Code    Code   `json:"code"`
	Owner   Owner  `json:"owner"`
	Message string `json:"message"`
	Hint    string `json:"hint"`
}

// ReportColleagues lists the colleagues found.
type ReportColleagues struct {
	Found int               `json:"found"`
	Items []ReportColleague `json:"items"`
}

// ReportColleague is one colleague found.
type ReportColleague struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Email    string   `json:"email"`
	JobTitle string   `json:"jobTitle"`
	Score    float64  `json:"score"`
	Reasons  []string `json:"reasons"`
}

// ReportCredits says what the request cost; Balance is left out of webhooks.
type ReportCredits struct {
	Charged int64  `json:"charged"`
	Balance *int64 `json:"balance,omitempty"`
}

// ReportWebhook is one delivery in a report.
type ReportWebhook struct {
	ID         string         `json:"id"`
	EndpointID string         `json:"endpointId"`
	Type       MessageType    `json:"type"`
	Status     DeliveryStatus `json:"status"`
	Attempts   int            `json:"attempts"`
}

// NewReportStep shows a step.
func NewReportStep(s Step) ReportStep {
	r := ReportStep{
		Name: s.Name, Platform: s.Platform, ConnectionID: s.ConnectionID, Status: s.Status,
		Reason: s.Reason, Attempts: s.Attempts, NextAttemptAt: Time{s.NextAttemptAt}, Details: s.Details,
	}
	if s.ErrorCode != "" {
		info := s.ErrorCode.Info()
		r.Error = &ReportError{Code: s.ErrorCode, Owner: info.Owner, Message: s.ErrorMessage, Hint: info.Hint}
	}
	return r
}

// Time is a point in time as the API writes it: ISO 8601, UTC, milliseconds.
type Time struct{ time.Time }

// timeLayout is the one layout of all times in JSON.
const timeLayout = "2006-01-02T15:04:05.000Z"

// MarshalJSON writes the time in UTC with three decimals.
func (t Time) MarshalJSON() ([]byte, error) {
	return []byte(t.UTC().Format(`"` + timeLayout + `"`)), nil
}
