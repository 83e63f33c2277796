package erasure_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// ofThePerson are the columns, by table, that an erasure empties or whose row goes with
// the person.
var ofThePerson = map[string]string{
	"users": `email_key email person_key company country department first_name last_name name job_title invite_link attributes tags sequences`,
	"colleagues": `email_key email name job_title company department company_name website invite_link redirection_link photo
		invited_by`,
	"people":         `email_key email person_key company country department name job_title company_name website photo`,
	"source_answers": `answer`,
	"imports":        `ignored`,
	"requests":       `email input`,
	"steps":          `details error_message found tries`,
	"events":         `attributes outcome`,
	"follow_up_runs": `responses story error`,
	"messages":       `body`,
	"deliveries":     `attempts`,
	"bulk_errors":    `message`,
	"pushes":         `remote job former removal error_message`,
	"consents":       `source`,
	"logins":         `password`,
	"login_codes":    `return_url`,
	"scim_users":     `user_name external_id addresses resource`,
	"signals":        `email_key`,
	"push_waits":     `job`,
}

// ofOurs are the columns, by table, that hold ids, hashes, sealed values, or words out of
// a list of our own, such as a status, a country code or the domain of a company.
var ofOurs = map[string]string{
	"organizations":     `id status salt codes_key token_scope secrets`,
	"api_keys":          `id organization_id hash hint scopes`,
	"audit":             `id organization_id actor action object fields`,
	"console_sessions":  `token_hash data`,
	"balances":          `organization_id`,
	"ledger":            `id organization_id kind request_id`,
	"users":             `id organization_id`,
	"events":            `id organization_id user_id type source cause caused_by`,
	"consents":          `user_id channel organization_id status connection_id`,
	"logins":            `user_id organization_id`,
	"login_codes":       `organization_id person purpose nonce key_id user_id`,
	"login_tries":       `organization_id what who`,
	"scim_users":        `user_id organization_id`,
	"scim_groups":       `id organization_id`,
	"scim_members":      `group_id user_id organization_id`,
	"inbounds":          `connection_id organization_id hash`,
	"signals":           `connection_id id organization_id user_id channel status`,
	"erasures":          `id organization_id user_id status removed platforms`,
	"erased":            `organization_id person`,
	"colleagues":        `id organization_id status`,
	"colleague_links":   `user_id colleague_id organization_id reasons`,
	"source_answers":    `organization_id source company`,
	"people":            `id organization_id`,
	"imports":           `id organization_id status format encoding actor message`,
	"import_chunks":     `import_id`,
	"import_errors":     `import_id field message`,
	"requests":          `organization_id id kind status user_id task_id traceparent notable`,
	"steps":             `request_id organization_id name platform connection_id status reason error_code`,
	"idempotency_keys":  `organization_id scope key body_hash`,
	"outbox":            `id organization_id kind queue fairness_key args traceparent state claim_token`,
	"follow_ups":        `id organization_id status`,
	"webhook_endpoints": `id organization_id event_types status disabled_reason signing secret old_secret`,
	"messages":          `id organization_id type request_id traceparent`,
	"deliveries":        `id organization_id message_id endpoint_id task_id type status`,
	"connections":       `id organization_id platform status credentials`,
	"pushes":            `connection_id user_id organization_id status pushed_hash sent_hash erasure_id error_code`,
	"push_waits":        `connection_id user_id request_id organization_id mode`,
	"bulks":             `request_id organization_id connection_id`,
	"bulk_errors":       `request_id organization_id status code`,

	"follow_up_runs":     `id organization_id follow_up_id event_id user_id root_id task_id status`,
	"follow_up_versions": `follow_up_id organization_id actor`,
	"follow_up_headers":  `id organization_id follow_up_id sealed`,
}

// TestEveryColumnIsErasedOrListed: whoever adds a column of text says here, or in
// docs/erasure.md with its lifetime, what becomes of what it holds of an erased person.
func TestEveryColumnIsErasedOrListed(t *testing.T) {
	t.Parallel()
	schema := textColumns(t)
	if len(schema) < 150 {
		t.Fatalf("only %d columns were found", len(schema))
	}
	known := append(columnsOf(ofThePerson), columnsOf(ofOurs)...)
	for _, name := range known {
		if !slices.Contains(schema, name) {
			t.Errorf("%s is no column of text", name)
		}
	}
	listed := listedColumns(t)
	for _, name := range listed {
		if !slices.Contains(schema, name) {
			t.Errorf("docs/erasure.md lists %s, which is no column of text", name)
		}
	}
	for _, name := range schema {
		if !slices.Contains(known, name) && !slices.Contains(listed, name) {
			t.Errorf("nobody says what becomes of what %s holds of an erased person", name)
		}
	}
}

func columnsOf(tables map[string]string) (names []string) {
	for table, columns := range tables {
		for column := range strings.FieldsSeq(columns) {
			names = append(names, table+"."+column)
		}
	}
	return names
}

var (
	tableLine  = regexp.MustCompile(`^CREATE TABLE (\w+)`)
	columnLine = regexp.MustCompile(`^    (\w+)\s+text\b`)
	columnName = regexp.MustCompile("`([a-z_]+\\.[a-z_]+)`")
)

// textColumns returns the columns of text in the schema.
func textColumns(t *testing.T) (names []string) {
	t.Helper()
	text, err := os.ReadFile("../store/migration/00001_init.sql")
	must(t, err)
	table := ""
	for line := range strings.Lines(string(text)) {
		if m := tableLine.FindStringSubmatch(line); m != nil {
			table = m[1]
		}
		if m := columnLine.FindStringSubmatch(line); m != nil {
			names = append(names, table+"."+m[1])
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// listedColumns returns the columns that docs/erasure.md lists.
func listedColumns(t *testing.T) (names []string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/erasure.md")
	must(t, err)
	_, section, found := strings.Cut(string(text), "### Column by column")
	section, _, ends := strings.Cut(section, "\n## ")
	if !found || !ends {
		t.Fatal("docs/erasure.md has no list of columns")
	}
	for _, m := range columnName.FindAllStringSubmatch(section, -1) {
		names = append(names, m[1])
	}
	return names
}
