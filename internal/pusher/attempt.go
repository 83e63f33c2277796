package pusher

import (
	"context"
	"encoding/json"

	"usersync/internal/foreign"
	"usersync/internal/outbound"
	"usersync/internal/request"
	"usersync/internal/usersync"
)

// maxSent is how many bytes are kept of what was sent of a person.
const maxSent = 2 << 10

// watch returns a context whose calls to the platform are noted, and what notes them in
// the items that they are about.
func watch(ctx context.Context, items ...*item) (watched context.Context, noted func()) {
	watched, w := outbound.NewWatch(ctx)
	return watched, func() {
		for _, it := range items {
			call, alone, made := w.Of(it.profile.UserID)
			if !made {
				continue
			}
			it.call, it.beside = call, 0
			if !alone && len(items) > 1 {
				// The answer to a call about several people may name the others.
				it.call.Answer, it.beside = "", len(items)-1
			}
		}
	}
}

// attempt is what is kept of the try that an item has come to an ending by; nil where
// nobody was called and nothing has failed.
func (b *outcomes) attempt(it *item, e ending) *request.Attempt {
	failed := e.failure != nil
	if it.call.What == "" && (!failed || !e.final()) {
		return nil
	}
	a := &request.Attempt{
		At: usersync.Time{Time: b.clock.now()}, Status: e.status, Call: it.call.What, HTTPStatus: it.call.Status, DurationMS: it.call.Took.Milliseconds(),
		Users: it.beside + 1, Answer: it.call.Answer, Details: e.details,
	}
	if !failed {
		return a
	}
	a.Code, a.Message, a.NextAttemptAt, a.Sent = e.failure.Code, e.failure.Message, usersync.Time{Time: e.next}, it.sent()
	return a
}

// sent is what the platform was told of the person, as JSON, or the beginning of it.
func (it *item) sent() json.RawMessage {
	if it.by == nil {
		return nil
	}
	told := it.by.Content(it.profile)
	if text, is := told.(string); is && len(text) <= maxSent && json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	content, err := json.Marshal(told)
	if err != nil || len(content) <= maxSent {
		return content
	}
	part, _ := json.Marshal(foreign.Fit(string(content), maxSent)) // a text can always be written
	return part
}
