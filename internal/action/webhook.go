package action

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"usersync/internal/followup"
	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

// maxKeptResponse bounds what later actions may read of a response's body, in bytes.
const maxKeptResponse = 16 << 10

// actionHeader carries the id of the action, which stays the same when the call is made
// again, so that the receiver can leave out what it has done.
const actionHeader = "Idempotency-Key"

// sendWebhook returns the Doer that calls others by a client.
func sendWebhook(client *outbound.Client) Doer {
	return func(ctx context.Context, d Doing) (Done, error) {
		r, err := newRequest(ctx, d)
		if err != nil {
			return Done{}, err
		}
		answer, err := client.Do(ctx, r)
		if err != nil {
			return Done{}, fmt.Errorf("call the webhook: %w", err)
		}
		if err := refusedBy(answer, d.At); err != nil {
			return Done{}, err
		}
		return Done{Details: fmt.Sprintf("%s was answered with status %d", d.Action.Method, answer.Status), Response: responseOf(answer)}, nil
	}
}

func newRequest(ctx context.Context, d Doing) (*http.Request, error) {
	var body io.Reader
	if d.Action.Body != "" {
		body = strings.NewReader(d.Action.Body)
	}
	r, err := http.NewRequestWithContext(ctx, d.Action.Method, d.Action.URL, body)
	if err != nil {
		// The address of the definition is in order, so a value has made it wrong. The
		// cause would show it.
		return nil, usersync.Errorf(usersync.CodeInvalid, "The address cannot be called.")
	}
	r.Header.Set(actionHeader, d.ID(usersync.PrefixMessage))
	if d.Action.Body != "" {
		r.Header.Set("Content-Type", followup.MediaType(d.Action.Headers))
	}
	for name, value := range d.Action.Headers {
		r.Header.Set(name, value)
	}
	return r, nil
}

// refusedBy returns the error that an answer stands for. A receiver that refuses the
// credentials will refuse them again.
func refusedBy(answer *outbound.Response, now time.Time) error {
	code := outbound.CodeOfStatus(answer.Status)
	switch code {
	case "":
		return nil
	case usersync.CodeDisconnected:
		code = usersync.CodeRejected
	}
	failure := usersync.Errorf(code, "The webhook was answered with status %d.", answer.Status)
	failure.RetryAfter, _ = outbound.RetryAfter(answer.Header, now)
	return failure
}

// responseOf returns what later actions may read: the status, and the body as JSON, or
// else as text. A body that is too long is cut off, and then it is text.
func responseOf(answer *outbound.Response) map[string]any {
	text := answer.Body[:min(len(answer.Body), maxKeptResponse)]
	out := map[string]any{"status": json.Number(fmt.Sprint(answer.Status)), "body": strings.ToValidUTF8(string(text), "")}
	if len(text) < len(answer.Body) || answer.Truncated {
		return out
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var body any
	if d.Decode(&body) == nil && !d.More() && body != nil {
		out["body"] = body
	}
	return out
}
