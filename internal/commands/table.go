package commands

import "slices"

// operations are all commands.
func operations() []operation {
	return slices.Concat(ofUsers(), ofOrganization(), ofMessages(), ofOperator())
}

// filters are what requests are found by.
var filters = []flag{
	query("kind", "only requests of this kind: user-sync, platform-sync, …"),
	query("platform", "only requests with a step at this platform"),
	query("connection", "only requests with a step at this connection"),
	query("code", "only requests with a step that did not go well for this reason"),
	query("email", "only requests for this address"),
	query("since", "only requests made since this time: 2026-03-04T10:30:00Z, or 24h for so long ago").of(moment),
	query("until", "only requests made before this time").of(moment),
}

// inFilter returns the filters as members of filter.
func inFilter() []flag {
	out := []flag{member("status", "failed or partially_succeeded; without it both").as("filter.status")}
	for _, f := range filters {
		out = append(out, flag{f.name, inBody, "filter." + f.to, f.kind, f.help})
	}
	return out
}

// person are the members of a user.
var person = []flag{
	member("country", "name, or code of two or three letters").as("user.country"),
	member("first-name", "first name").as("user.firstName"),
	member("last-name", "last name").as("user.lastName"),
	member("name", "full name").as("user.name"),
	member("job-title", "job title").as("user.jobTitle"),
	member("invite-link", "the link that invites the user's colleagues").as("user.inviteLink"),
	wait,
}

// ofUsers are the commands of users, and of what is done for them.
func ofUsers() []operation {
	return []operation{
		{resource: "requests", verb: "list", route: "GET /v1/requests", short: "List requests, newest first", paged: true,
			flags:   append([]flag{query("status", "only requests with this status"), query("include", "colleagues: list the colleagues found too")}, filters...),
			columns: []string{"requestId", "kind", "status", "email", "createdAt", "finishedAt"}},
		{resource: "requests", verb: "get", route: "GET /v1/requests/{requestId}", short: "Show a request with its steps", args: []string{"REQUEST"}, flags: []flag{wait}},
		{resource: "requests", verb: "attempts", route: "GET /v1/requests/{requestId}/attempts", short: "List what was sent to platforms and what they answered", args: []string{"REQUEST"}, paged: true,
			columns: []string{"step", "platform", "at", "status", "httpStatus", "durationMs", "error.code", "answer"}},
		{resource: "requests", verb: "errors", route: "GET /v1/requests/{requestId}/errors", short: "List the users of a bulk that failed or were skipped", args: []string{"REQUEST"}, paged: true,
			columns: []string{"userId", "email", "status", "code", "message"}},
		{resource: "requests", verb: "retry", route: "POST /v1/requests/{requestId}/retry", short: "Work the failed steps of a request again", args: []string{"REQUEST"}},
		{resource: "requests", verb: "retry-all", route: "POST /v1/requests/retry", short: "Work the failed steps of all requests that the flags find again", flags: inFilter(), body: object},
		{resource: "requests", verb: "try-now", route: "POST /v1/requests/{requestId}/steps/{step}/try-now", short: "Try a waiting step now instead of later", args: []string{"REQUEST", "STEP"}},

		{resource: "users", verb: "list", route: "GET /v1/users", short: "List users, newest first", paged: true, flags: []flag{query("email", "only the user with this address")},
			columns: []string{"id", "email", "name", "country", "company", "updatedAt"}},
		{resource: "users", verb: "get", route: "GET /v1/users/{userId}", short: "Show a user, with the state at every platform", args: []string{"USER"}},
		{resource: "users", verb: "sync", route: "POST /v1/user-sync", short: "Sync a user to every platform", args: []string{"EMAIL=user.email"}, flags: person, body: object},
		{resource: "users", verb: "sync-batch", route: "POST /v1/user-sync/batch", short: "Sync many users, {\"users\":[…]}; `usersync sync FILE` takes files of any size", body: object},
		{resource: "users", verb: "update", route: "PATCH /v1/users/{userId}", short: "Change a user's address or consent", args: []string{"USER"}, body: object,
			flags: []flag{member("email", "the new address")}},
		{resource: "users", verb: "export", route: "GET /v1/users/{userId}/export", short: "Write everything that is held about a user", args: []string{"USER"}},
		{resource: "users", verb: "erase", route: "DELETE /v1/users/{userId}", short: "Erase a user, here and at every platform", args: []string{"USER"}},

		{resource: "erasures", verb: "create", route: "POST /v1/erasures", short: "Erase whoever has an address, also at platforms only", args: []string{"EMAIL=email"}, body: object},
		{resource: "erasures", verb: "list", route: "GET /v1/erasures", short: "List erasures, newest first", paged: true, columns: []string{"id", "userId", "status", "createdAt", "finishedAt"}},
		{resource: "erasures", verb: "get", route: "GET /v1/erasures/{erasureId}", short: "Show an erasure with its receipts", args: []string{"ERASURE"}},

		{resource: "colleagues", verb: "list", route: "GET /v1/colleagues-list", short: "List the colleagues of a user", args: []string{"EMAIL=?email"},
			columns: []string{"id", "name", "email", "jobTitle", "status", "companyName"}},
		{resource: "colleagues", verb: "create", route: "POST /v1/colleagues-create", short: "Tell of a colleague of a user", body: object, flags: []flag{
			member("name", "full name"), member("email", "address"), member("company-name", "company"), member("to-be-invited-by-id", "the user who is to invite them"),
			member("job-title", "job title"), member("website", "the company's website"), member("team", "number of a team").of(number),
			member("invite-link", "link of the invitation"), member("redirection-link", "where the link leads")}},
		{resource: "colleagues", verb: "update", route: "PATCH /v1/colleagues-update", short: "Change a colleague's status or address", args: []string{"COLLEAGUE=id"}, body: object, flags: []flag{
			member("status", "the new status"), member("email", "the new address")}},
		{resource: "colleagues", verb: "invite", route: "POST /v1/send-invitation", short: "Send a colleague an invitation by e-mail", args: []string{"COLLEAGUE=colleagueId"}, body: object},

		{resource: "imports", verb: "create", route: "POST /v1/directory/imports", short: "Import people for the search of colleagues from a CSV or NDJSON file", args: []string{"FILE"}, body: rows},
		{resource: "imports", verb: "list", route: "GET /v1/directory/imports", short: "List imports, newest first", paged: true, columns: []string{"id", "status", "format", "lines", "saved", "refused", "createdAt"}},
		{resource: "imports", verb: "get", route: "GET /v1/directory/imports/{importId}", short: "Show how far an import is", args: []string{"IMPORT"}},
		{resource: "imports", verb: "errors", route: "GET /v1/directory/imports/{importId}/errors", short: "Write the lines that were refused, as CSV", args: []string{"IMPORT"}, raw: true},
	}
}

// ofOrganization are the commands by which an organization is set up.
func ofOrganization() []operation {
	checked := query("check", "check the credentials with the platform before they are kept").of(truth)
	profile := []flag{member("name", "name"), member("default-invite-link", "the link that invites colleagues"), member("default-redirection-link", "where that link leads")}
	return []operation{
		{resource: "organization", verb: "get", route: "GET /v1/organization", short: "Show the organization whose key it is"},
		{resource: "organization", verb: "update", route: "PATCH /v1/organization", short: "Change the organization whose key it is", flags: profile, body: object},
		{resource: "organization", verb: "alias-suggestions", route: "GET /v1/organization/alias-suggestions", short: "List domains that seem to be of one company"},
		{resource: "organization", verb: "decide-aliases", route: "POST /v1/organization/alias-suggestions", short: "Accept or dismiss that domains are of one company", body: object, flags: []flag{
			member("domains", "the domains").of(list), member("decision", "accept or dismiss")}},

		{resource: "connections", verb: "create", route: "POST /v1/connections", short: "Connect a platform; give credentials by --body, so that no shell remembers them", body: object, flags: []flag{
			member("platform", "the platform, as `usersync platforms list` names it"), member("name", "what it is called"), checked}},
		{resource: "connections", verb: "list", route: "GET /v1/connections", short: "List connections, newest first", paged: true, columns: []string{"id", "platform", "name", "status", "reason", "checkedAt"}},
		{resource: "connections", verb: "get", route: "GET /v1/connections/{connectionId}", short: "Show a connection", args: []string{"CONNECTION"}},
		{resource: "connections", verb: "update", route: "PATCH /v1/connections/{connectionId}", short: "Change a connection", args: []string{"CONNECTION"}, body: object, flags: []flag{member("name", "what it is called"), checked}},
		{resource: "connections", verb: "delete", route: "DELETE /v1/connections/{connectionId}", short: "Delete a connection", args: []string{"CONNECTION"}},
		{resource: "connections", verb: "check", route: "POST /v1/connections/{connectionId}/check", short: "Ask the platform whether the credentials are good", args: []string{"CONNECTION"}},
		{resource: "connections", verb: "pause", route: "POST /v1/connections/{connectionId}/pause", short: "Push nothing there for now", args: []string{"CONNECTION"}},
		{resource: "connections", verb: "resume", route: "POST /v1/connections/{connectionId}/resume", short: "Push there again, what waited first", args: []string{"CONNECTION"}},
		{resource: "connections", verb: "fields", route: "GET /v1/connections/{connectionId}/fields", short: "List the platform's fields, for mapping", args: []string{"CONNECTION"}, listed: true},
		{resource: "connections", verb: "create-field", route: "POST /v1/connections/{connectionId}/fields", short: "Make a field at the platform", args: []string{"CONNECTION", "NAME=name"}, body: object, flags: []flag{
			member("type", "text, number, date, datetime, boolean or phone")}},
		{resource: "connections", verb: "open-inbound", route: "POST /v1/connections/{connectionId}/inbound", short: "Make an address for the platform's own webhooks; it is shown once", args: []string{"CONNECTION"}},
		{resource: "connections", verb: "close-inbound", route: "DELETE /v1/connections/{connectionId}/inbound", short: "Take nothing more from the platform", args: []string{"CONNECTION"}},
		{resource: "platforms", verb: "list", route: "GET /v1/platforms", short: "List the platforms and what each wants to know", listed: true, columns: []string{"name", "title"}},

		{resource: "follow-ups", verb: "create", route: "POST /v1/follow-ups", short: "Make a follow-up, given by --body", body: object, flags: []flag{member("name", "name")}},
		{resource: "follow-ups", verb: "list", route: "GET /v1/follow-ups", short: "List follow-ups, newest first", paged: true, columns: []string{"id", "name", "trigger.type", "status", "version", "updatedAt"}},
		{resource: "follow-ups", verb: "get", route: "GET /v1/follow-ups/{followUpId}", short: "Show a follow-up", args: []string{"FOLLOW-UP"}},
		{resource: "follow-ups", verb: "update", route: "PATCH /v1/follow-ups/{followUpId}", short: "Change a follow-up, which makes a version of it", args: []string{"FOLLOW-UP"}, body: object, flags: []flag{member("name", "name")}},
		{resource: "follow-ups", verb: "delete", route: "DELETE /v1/follow-ups/{followUpId}", short: "Delete a follow-up", args: []string{"FOLLOW-UP"}},
		{resource: "follow-ups", verb: "pause", route: "POST /v1/follow-ups/{followUpId}/pause", short: "Have nothing set a follow-up off for now", args: []string{"FOLLOW-UP"}},
		{resource: "follow-ups", verb: "resume", route: "POST /v1/follow-ups/{followUpId}/resume", short: "Have events set a follow-up off again", args: []string{"FOLLOW-UP"}},
		{resource: "follow-ups", verb: "versions", route: "GET /v1/follow-ups/{followUpId}/versions", short: "List the versions of a follow-up", args: []string{"FOLLOW-UP"}, listed: true, columns: []string{"version", "name", "actor", "createdAt"}},
		{resource: "follow-ups", verb: "dry-run", route: "POST /v1/follow-ups/{followUpId}/dry-run", short: "Tell what a follow-up would do after an event, and do nothing", args: []string{"FOLLOW-UP"}, body: optional},
		{resource: "follow-ups", verb: "export", route: "GET /v1/follow-ups/export", short: "Write all follow-ups as YAML", raw: true},
		{resource: "follow-ups", verb: "import", route: "POST /v1/follow-ups/import", short: "Put the follow-ups of a YAML file in force, by their names", args: []string{"FILE"}, body: document},
	}
}

// ofMessages are the commands of webhooks and events.
func ofMessages() []operation {
	return []operation{
		{resource: "webhooks", verb: "create", route: "POST /v1/webhook-endpoints", short: "Have webhooks sent to a URL; the secret is shown once", args: []string{"URL=url"}, body: object, flags: []flag{
			member("event-types", "which webhooks it gets").of(list), member("description", "what it is for"), member("signing", "v1 by a secret, or v1a by a key of ours")}},
		{resource: "webhooks", verb: "list", route: "GET /v1/webhook-endpoints", short: "List endpoints, newest first", paged: true, columns: []string{"id", "url", "eventTypes", "status", "failingSince"}},
		{resource: "webhooks", verb: "get", route: "GET /v1/webhook-endpoints/{endpointId}", short: "Show an endpoint", args: []string{"ENDPOINT"}},
		{resource: "webhooks", verb: "update", route: "PATCH /v1/webhook-endpoints/{endpointId}", short: "Change an endpoint", args: []string{"ENDPOINT"}, body: object, flags: []flag{
			member("url", "where it is"), member("event-types", "which webhooks it gets").of(list), member("description", "what it is for")}},
		{resource: "webhooks", verb: "delete", route: "DELETE /v1/webhook-endpoints/{endpointId}", short: "Delete an endpoint", args: []string{"ENDPOINT"}},
		{resource: "webhooks", verb: "rotate-secret", route: "POST /v1/webhook-endpoints/{endpointId}/rotate-secret", short: "Make a new secret; it is shown once, and both sign for a day", args: []string{"ENDPOINT"}},
		{resource: "webhooks", verb: "test", route: "POST /v1/webhook-endpoints/{endpointId}/test", short: "Send a webhook that says nothing", args: []string{"ENDPOINT"}},
		{resource: "webhooks", verb: "enable", route: "POST /v1/webhook-endpoints/{endpointId}/enable", short: "Send to a disabled endpoint again", args: []string{"ENDPOINT"}},
		{resource: "webhooks", verb: "recover", route: "POST /v1/webhook-endpoints/{endpointId}/recover", short: "Send again what failed in a window of time", args: []string{"ENDPOINT"}, body: object, flags: []flag{
			member("since", "from when on: 2026-03-04T10:30:00Z, or 24h for so long ago").of(moment), member("until", "until when; without it until now").of(moment)}},
		{resource: "webhooks", verb: "deliveries", route: "GET /v1/webhook-endpoints/{endpointId}/deliveries", short: "List deliveries, newest first", args: []string{"ENDPOINT"}, paged: true,
			flags: []flag{query("status", "only deliveries with this status")}, columns: []string{"id", "type", "status", "createdAt", "nextAttemptAt"}},
		{resource: "webhooks", verb: "delivery", route: "GET /v1/deliveries/{deliveryId}", short: "Show a delivery with its attempts", args: []string{"DELIVERY"}},
		{resource: "webhooks", verb: "redeliver", route: "POST /v1/deliveries/{deliveryId}/redeliver", short: "Send a delivery again", args: []string{"DELIVERY"}},
		{resource: "webhooks", verb: "keys", route: "GET /v1/webhook-keys", short: "List the public keys of endpoints that are signed for with v1a", paged: true},

		{resource: "events", verb: "list", route: "GET /v1/events", short: "List what happened to users, newest first", paged: true,
			flags: []flag{query("user", "only events of this user").as("userId"), query("type", "only events of this type")}, columns: []string{"id", "type", "source", "userId", "createdAt"}},
		{resource: "events", verb: "get", route: "GET /v1/events/{eventId}", short: "Show an event and what it led to", args: []string{"EVENT"}},
	}
}
