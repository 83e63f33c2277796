//go:build unix

package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"usersync/test/system"
)

const (
	// harmfulFollowUps is how many follow-ups an organization may have.
	harmfulFollowUps = 1000
	// setOffByOne is how many of them each event sets off; the others are asked.
	setOffByOne = 10
	// eventCallers report events, each one after the other.
	eventCallers = 8
	// largeTemplate is about how many bytes a large template makes.
	largeTemplate = 3 << 10
)

// action is an action of a follow-up as JSON.
type action = map[string]any

// harmfulActions are what the follow-ups do, in turn: they trigger a loop, wait for long,
// and fill in large templates.
var harmfulActions = [][]action{
	{{"type": "trigger-event", "event": "custom/loop"}},
	{{"type": "wait", "for": "30d"}, {"type": "add-tag", "tags": []string{"late"}}},
	{{"type": "update-user", "set": map[string]any{"attributes.text": strings.Repeat("{{.profile.email}} ", largeTemplate/20)}}},
}

// setOffFollowUps reports events that set off follow-ups without an end.
func setOffFollowUps(ctx context.Context, h *harmful) (end func(), err error) {
	loop := map[string]any{"name": "loop", "trigger": action{"type": "custom/loop"}, "actions": []action{{"type": "trigger-event", "event": "custom/loop"}}}
	if err := h.client.Ask(ctx, http.MethodPost, "/v1/follow-ups", loop, nil); err != nil {
		return nil, err
	}
	for i := range harmfulFollowUps - 1 {
		one := map[string]any{
			"name": "follow-up " + strconv.Itoa(i), "trigger": action{"type": "user/update"},
			"condition": map[string]any{"field": "attributes.number", "equals": i % (harmfulFollowUps / setOffByOne)},
			"actions":   harmfulActions[i%len(harmfulActions)],
		}
		if err := h.client.Ask(ctx, http.MethodPost, "/v1/follow-ups", one, nil); err != nil {
			return nil, err
		}
	}
	client := system.NewClient(h.tenant.key, "http://"+h.product.addr)
	client.Header.Set("Authorization", "Bearer "+h.tenant.key)
	ctx, cancel := context.WithCancel(ctx)
	var reporting sync.WaitGroup
	for range eventCallers {
		reporting.Go(func() {
			for ctx.Err() == nil {
				number := h.tenant.next.Add(1)
				body := fmt.Appendf(nil, `{"email":"e%d@harm.example","number":%d}`, number%1000, number%(harmfulFollowUps/setOffByOne))
				_, _ = client.Do(ctx, system.Call{Method: http.MethodPost, Path: "/v4/events/user/update", Body: body}) // ends with ctx
			}
		})
	}
	return func() {
		cancel()
		reporting.Wait()
	}, nil
}
