package request

import (
	"usersync/internal/delivery"
	"usersync/internal/usersync"
)

// View is a request as the API shows it and as webhooks carry it, field by
// field after the contract of GET /v1/requests/{requestId}.
type View struct {
	RequestID  string          `json:"requestId"`
	Kind       Kind            `json:"kind"`
	Status     Status          `json:"status"`
	UserID     string          `json:"userId"`
	Email      string          `json:"email"`
	CreatedAt  usersync.Time   `json:"createdAt"`
	StartedAt  usersync.Time   `json:"startedAt,omitzero"`
	FinishedAt usersync.Time   `json:"finishedAt,omitzero"`
	Steps      []StepView      `json:"steps"`
	Colleagues *ColleaguesView `json:"colleagues,omitempty"`
	// Progress is of a bulk.
	Progress *Progress     `json:"progress,omitempty"`
	Credits  CreditsView   `json:"credits"`
	Webhooks []WebhookView `json:"webhooks,omitempty"`
}

// StepView is a step in a view.
type StepView struct {
	Name          StepName      `json:"name"`
	Platform      string        `json:"platform,omitempty"`
	ConnectionID  string        `json:"connectionId,omitempty"`
	Status        StepStatus    `json:"status"`
	Reason        string        `json:"reason,omitempty"`
	Attempts      int           `json:"attempts"`
	NextAttemptAt usersync.Time `json:"nextAttemptAt,omitzero"`
	Details       string        `json:"details,omitempty"`
	Error         *ErrorView    `json:"error,omitempty"`
}

// ErrorView says what went wrong, whose fault it is and what to do.
type ErrorView struct {
	Code    usersync.Code  `json:"code"`
	Owner   usersync.Owner `json:"owner"`
	Message string         `json:"message"`
	Hint    string         `json:"hint"`
}

// ColleaguesView lists the colleagues found.
type ColleaguesView struct {
	Found int `json:"found"`
	// Items is nil where they are not asked for.
	Items []ColleagueView `json:"items,omitzero"`
}

// ColleagueView is one colleague found.
type ColleagueView struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Email    string   `json:"email"`
	JobTitle string   `json:"jobTitle"`
	Score    float64  `json:"score"`
	Reasons  []string `json:"reasons"`
}

// CreditsView says what the request cost; Balance is left out of webhooks.
type CreditsView struct {
	Charged int64  `json:"charged"`
	Balance *int64 `json:"balance,omitempty"`
}

// WebhookView is one delivery in a view.
type WebhookView struct {
	ID         string               `json:"id"`
	EndpointID string               `json:"endpointId"`
	Type       delivery.MessageType `json:"type"`
	Status     delivery.Status      `json:"status"`
	Attempts   int                  `json:"attempts"`
}

// NewStepView shows a step.
func NewStepView(s Step) StepView {
	r := StepView{
		Name: s.Name, Platform: s.Platform, ConnectionID: s.ConnectionID, Status: s.Status,
		Reason: s.Reason, Attempts: s.Attempts, NextAttemptAt: usersync.Time{Time: s.NextAttemptAt}, Details: s.Details,
	}
	if s.ErrorCode != "" {
		info := s.ErrorCode.Info()
		r.Error = &ErrorView{Code: s.ErrorCode, Owner: info.Owner, Message: s.ErrorMessage, Hint: info.Hint}
	}
	return r
}
