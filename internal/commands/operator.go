package commands

// ofOperator are the commands that need the operator's token. The balance and the ledger are
// there for an organization's key too.
func ofOperator() []operation {
	profile := []flag{
		member("default-invite-link", "the link that invites colleagues"), member("default-redirection-link", "where that link leads"),
		member("client-group-code", "its code in the directory dialect").as("tenant.clientGroupCode"),
		member("client-code", "its code in the directory dialect").as("tenant.clientCode"),
		member("paper-code", "its code in the directory dialect").as("tenant.paperCode"),
	}
	return []operation{
		{resource: "organizations", verb: "create", route: "POST /admin/v1/organizations", short: "Make an organization", args: []string{"NAME=name"}, flags: profile, body: object},
		{resource: "organizations", verb: "list", route: "GET /admin/v1/organizations", short: "List the organizations, newest first", paged: true, columns: []string{"id", "name", "status", "createdAt"}},
		{resource: "organizations", verb: "get", route: "GET /admin/v1/organizations/{organizationId}", short: "Show an organization", args: []string{"ORGANIZATION"}},
		{resource: "organizations", verb: "update", route: "PATCH /admin/v1/organizations/{organizationId}", short: "Change an organization", args: []string{"ORGANIZATION"}, body: object, flags: append([]flag{member("name", "name")}, profile...)},
		{resource: "organizations", verb: "disable", route: "DELETE /admin/v1/organizations/{organizationId}", short: "Refuse an organization's calls and stop its work from now on", args: []string{"ORGANIZATION"}},
		{resource: "organizations", verb: "enable", route: "POST /admin/v1/organizations/{organizationId}/enable", short: "Take an organization's calls again and have its work go on", args: []string{"ORGANIZATION"}},

		{resource: "keys", verb: "create", route: "POST /admin/v1/organizations/{organizationId}/api-keys", short: "Make an API key; it is shown once", args: []string{"ORGANIZATION"}, body: optional, flags: []flag{
			member("name", "what the key is for"), member("scopes", "what the key may do; default: everything").of(list),
			member("expires-in", "when the key ends, 30d say; without it never").of(ahead).as("expiresAt")}},
		{resource: "keys", verb: "list", route: "GET /admin/v1/organizations/{organizationId}/api-keys", short: "List an organization's keys, newest first", args: []string{"ORGANIZATION"}, paged: true,
			columns: []string{"id", "name", "key", "scopes", "createdAt", "expiresAt", "revokedAt"}},
		{resource: "keys", verb: "get", route: "GET /admin/v1/organizations/{organizationId}/api-keys/{keyId}", short: "Show a key, masked", args: []string{"ORGANIZATION", "KEY"}},
		{resource: "keys", verb: "revoke", route: "DELETE /admin/v1/organizations/{organizationId}/api-keys/{keyId}", short: "End a key now", args: []string{"ORGANIZATION", "KEY"}},
		{resource: "keys", verb: "rotate", route: "POST /admin/v1/organizations/{organizationId}/api-keys/{keyId}/rotate", short: "Replace a key; the old one works on for the overlap", args: []string{"ORGANIZATION", "KEY"}, body: optional,
			flags: []flag{member("overlap", "how long the old key still works").of(duration)}},

		{resource: "credits", verb: "get", route: "GET /admin/v1/organizations/{organizationId}/credits", own: "/v1/credits", short: "Show the balance", args: []string{"ORGANIZATION"}},
		{resource: "credits", verb: "ledger", route: "GET /admin/v1/organizations/{organizationId}/credits/ledger", own: "/v1/credits/ledger", short: "List the ledger, newest first", args: []string{"ORGANIZATION"}, paged: true,
			columns: []string{"id", "kind", "amount", "balance", "requestId", "reference", "createdAt"}},
		{resource: "credits", verb: "add", route: "POST /admin/v1/organizations/{organizationId}/credits", short: "Add credits; waiting requests go on by themselves", args: []string{"ORGANIZATION", "AMOUNT=#amount"}, body: object,
			flags: []flag{member("reference", "an invoice, say; the same reference adds only once")}},
		{resource: "credits", verb: "verify", route: "POST /admin/v1/organizations/{organizationId}/credits/verify", short: "Prove that the balance is the sum of the ledger", args: []string{"ORGANIZATION"}},

		{resource: "queues", verb: "list", route: "GET /admin/v1/queues", short: "Show depth, age and failures of the queues"},
		{resource: "queues", verb: "pause", route: "POST /admin/v1/queues/{queue}/pause", short: "Work nothing of a queue for now", args: []string{"QUEUE"}},
		{resource: "queues", verb: "resume", route: "POST /admin/v1/queues/{queue}/resume", short: "Work a queue again", args: []string{"QUEUE"}},
		{resource: "queues", verb: "rebuild", route: "POST /admin/v1/rebuild", short: "Send every unfinished task to the queue again"},

		{resource: "stuck", verb: "list", route: "GET /admin/v1/stuck", short: "List unfinished tasks that should be done by now, oldest first", paged: true,
			flags: []flag{query("older-than", "how long a task must have been due").of(duration)}, columns: []string{"id", "organizationId", "kind", "queue", "state", "failures", "deaths", "createdAt"}},
		{resource: "stuck", verb: "retry", route: "POST /admin/v1/stuck/{taskId}/retry", short: "Have a poisoned task worked again", args: []string{"TASK"}},

		{resource: "audit", verb: "list", route: "GET /admin/v1/audit", short: "List who changed what, newest first", paged: true,
			flags: []flag{query("organization", "only changes of this organization").as("organizationId")}, columns: []string{"at", "actor", "action", "object", "organizationId", "fields"}},
	}
}
