package native

import (
	"net/http"

	"usersync/internal/api"
	"usersync/internal/intake"
	"usersync/internal/request"
)

// syncUser is POST /v1/user-sync.
func syncUser(c *api.Call) error {
	body, err := c.Body()
	if err != nil {
		return err
	}
	sent, err := readBody(body)
	if err != nil {
		return err
	}
	user, err := sent.check()
	if err != nil {
		return err
	}
	sub, err := c.Submit([]*intake.Acceptance{c.Acceptance(request.KindUserSync, c.ID, user)}, nil)
	if err != nil {
		return err
	}
	accepted := sub.Accepted[0]
	c.Header().Set("Location", "/v1/requests/"+accepted.RequestID)
	if report := finished(c, accepted.RequestID); report != nil {
		return c.JSON(http.StatusOK, report)
	}
	return c.Blob(http.StatusAccepted, "application/json", appendAccepted(make([]byte, 0, 256), accepted))
}

// finished returns the report of a request that finished while the caller
// waited; nil when they do not wait, or waited in vain. An error is none of the
// caller's: the work is accepted.
func finished(c *api.Call, id string) *request.View {
	if _, ok := c.Wait(); !ok {
		return nil
	}
	report, err := c.Report(id)
	if err != nil || !report.Status.Final() {
		return nil
	}
	return report
}

// appendAccepted writes the 202 of the contract: its fields in its order. The
// ids need no escapes.
func appendAccepted(to []byte, a *intake.Acceptance) []byte {
	to = append(to, `{"success":true,"status":"processing","requestId":"`...)
	to = append(to, a.RequestID...)
	to = append(to, `","userId":"`...)
	to = append(to, a.UserID...)
	return append(to, `","message":"Request accepted and is being processed asynchronously."}`...)
}
