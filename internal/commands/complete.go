package commands

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"usersync/internal/commands/profile"
)

const (
	// completeWithin bounds what a person who presses Tab waits.
	completeWithin = 2 * time.Second
	// completed is how many ids are offered.
	completed = "100"
)

// lists say where the values of a parameter are listed: the newest are offered.
var lists = map[string]string{
	"requestId": "/v1/requests", "userId": "/v1/users", "erasureId": "/v1/erasures", "importId": "/v1/directory/imports",
	"connectionId": "/v1/connections", "followUpId": "/v1/follow-ups", "endpointId": "/v1/webhook-endpoints", "eventId": "/v1/events",
	"organizationId": "/admin/v1/organizations", "keyId": "/admin/v1/organizations/{organizationId}/api-keys", "taskId": "/admin/v1/stuck",
}

// complete offers the ids that a service knows for the argument that is typed.
func (o operation) complete(c *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	names := o.parameters()
	if len(args) >= len(names) {
		if len(args) < len(o.args) && o.args[len(args)] == "FILE" {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	path := lists[names[len(args)]]
	s, err := named(c)
	if err != nil || s == nil || path == "" {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	for i, arg := range args {
		path = strings.ReplaceAll(path, "{"+names[i]+"}", url.PathEscape(arg))
	}
	ctx, cancel := context.WithTimeout(c.Context(), completeWithin)
	defer cancel()
	return known(ctx, s, path, typed), cobra.ShellCompDirectiveNoFileComp
}

// known returns the ids of a list that begin as typed, with what people call each.
func known(ctx context.Context, s *service, path, typed string) []cobra.Completion {
	text, err := newClient(s, io.Discard).do(ctx, call{method: "GET", path: path, query: url.Values{"limit": {completed}}})
	if err != nil {
		return nil
	}
	var answer struct {
		Items []struct{ ID, RequestID, Name, Email, URL, Kind, Type, Platform, Status string }
	}
	if json.Unmarshal(text, &answer) != nil {
		return nil
	}
	var out []cobra.Completion
	for _, item := range answer.Items {
		id := cmp.Or(item.ID, item.RequestID)
		if strings.HasPrefix(id, typed) {
			out = append(out, cobra.CompletionWithDesc(id, printable(cmp.Or(item.Name, item.Email, item.URL, item.Platform, item.Kind, item.Type, item.Status))))
		}
	}
	return out
}

// completeProfiles offers the names of profiles.
func completeProfiles(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	file, err := profile.Open()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return file.Names(), cobra.ShellCompDirectiveNoFileComp
}
