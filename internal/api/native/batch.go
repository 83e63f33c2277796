package native

import (
	"fmt"
	"net/http"

	"usersync/internal/api"
	"usersync/internal/intake"
	"usersync/internal/request"
	"usersync/internal/usersync"
)

const (
	// maxBatch bounds the users of one call.
	maxBatch = 1000
	// batchLimit bounds its body: 8 KiB a user.
	batchLimit = 8 << 20
)

var (
	errNoUsers  = api.Invalid("users", "must be a list of 1 to 1,000 users")
	errTooMany  = api.Invalid("users", "must hold at most 1,000 users")
	errNoneGood = "No user could be accepted."
)

// batchAnswer has one result per user sent, in their order.
type batchAnswer struct {
	Success bool     `json:"success"`
	Status  string   `json:"status,omitempty"`
	Error   string   `json:"error,omitempty"`
	Results []result `json:"results"`
}

// result is what became of one user: accepted, or refused with a reason.
type result struct {
	RequestID string `json:"requestId,omitempty"`
	UserID    string `json:"userId,omitempty"`
	Error     string `json:"error,omitempty"`
}

// batch is a list of users: those to accept, and why the others are refused.
type batch struct {
	size    int
	items   []*intake.Acceptance
	refused map[int]string
}

// syncBatch is POST /v1/user-sync/batch. Each user is accepted or refused. When
// all are refused, the answer is 400 with the reasons.
func (h *Handlers) syncBatch(c *api.Call) error {
	b, err := readBody(c, func(body []byte) (*batch, error) { return readBatch(c, body) })
	if err != nil {
		return err
	}
	if len(b.items) == 0 {
		return c.JSON(http.StatusBadRequest, batchAnswer{Error: errNoneGood, Results: b.results(nil, b.refused)})
	}
	sub, err := c.Submit(b.items, b.refused)
	if err != nil {
		return fmt.Errorf("accept the batch: %w", err)
	}
	refused := b.refused
	if sub.Replayed {
		refused = sub.Idempotency.Refused
	}
	return c.JSON(http.StatusAccepted, batchAnswer{Success: true, Status: "processing", Results: b.results(sub.Accepted, refused)})
}

func readBatch(c *api.Call, body []byte) (*batch, error) {
	b := &batch{}
	if len(body) == 0 {
		return nil, errNoUsers
	}
	r := api.NewReader(body)
	for name := range r.Object() {
		if name == "users" {
			b = &batch{refused: map[int]string{}}
			b.read(c, r)
		}
	}
	err := r.End()
	switch {
	case err != nil:
		return nil, err
	case b.size == 0:
		return nil, errNoUsers
	case b.size > maxBatch:
		return nil, errTooMany
	}
	return b, nil
}

// read reads the users one by one. It only counts those beyond maxBatch.
func (b *batch) read(c *api.Call, r *api.Reader) {
	for i := range r.Array() {
		b.size++
		if b.size > maxBatch {
			continue
		}
		sent := readUser(r)
		if wrong := r.TakeWrong(); len(wrong) > 0 {
			b.refused[i] = wrong[0].Field + " " + wrong[0].Message
			continue
		}
		user, err := sent.check()
		if err != nil {
			b.refused[i] = usersync.AsError(err).Message
			continue
		}
		a := c.Acceptance(request.KindUserSync, usersync.NewID(usersync.PrefixRequest), user)
		a.Position = i
		b.items = append(b.items, a)
	}
}

func (b *batch) results(accepted []*intake.Acceptance, refused map[int]string) []result {
	out := make([]result, b.size)
	for _, a := range accepted {
		out[a.Position] = result{RequestID: a.RequestID, UserID: a.UserID}
	}
	for i, message := range refused {
		out[i] = result{Error: message}
	}
	return out
}
