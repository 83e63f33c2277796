package usersync

import (
	"strings"
	"time"
)

// Estimate fills in rate and end of a bulk that began at began, as seen at now.
func (p *Progress) Estimate(began, now time.Time) {
	if seconds := now.Sub(began).Seconds(); seconds > 0 {
		p.PerSecond = float64(int64(float64(p.Done)/seconds*10+0.5)) / 10
	}
	if left := p.Total - p.Done; p.Planned && left > 0 && p.PerSecond > 0 {
		p.ETA = Time{now.Add(time.Duration(float64(left) / p.PerSecond * float64(time.Second)))}
	}
}

// BulkError is a user of a bulk that failed or was skipped, and why.
type BulkError struct {
	RequestID string `json:"-"`
	UserID    string `json:"userId"`
	// Email is the user's; "" for one that is not known, or not any more.
	Email   string     `json:"email"`
	Status  StepStatus `json:"status"` // failed or skipped
	Code    string     `json:"code"`   // a Code, or the reason of a skipped one
	Message string     `json:"message"`
}

// prefixSync is the prefix of the names that marketing clients know bulks by.
const prefixSync = "sync_"

// SyncID is the name of a bulk in the marketing dialect: the request's own with
// another prefix.
func SyncID(requestID string) string {
	return prefixSync + strings.TrimPrefix(requestID, string(PrefixRequest)+"_")
}

// RequestOf is the inverse of SyncID; any other id stays as it is.
func RequestOf(id string) string {
	if rest, ok := strings.CutPrefix(id, prefixSync); ok {
		return string(PrefixRequest) + "_" + rest
	}
	return id
}
