package app_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/colleague"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/credit"
	"usersync/internal/delivery"
	"usersync/internal/directory"
	"usersync/internal/identity"
	"usersync/internal/mail/mailtest"
	"usersync/internal/platform"
	"usersync/internal/provider/providertest"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/user"
	"usersync/internal/usersync"
	"usersync/internal/webhooksig"
)

// unreached are the statuses that scenarios cannot cause. Other tests cause them.
var unreached = []string{"500", "503"}

// TestScenarios runs every file of testdata/scenarios on both engines. Each answer is
// compared with the description too, and at the end every described answer must have
// been seen.
func TestScenarios(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/scenarios/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios: ", err)
	}
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		s := &stage{mail: mailtest.Start(t), refusing: mailtest.Start(t)}
		s.refusing.Refuse(550, "no")
		s.refusing.Roots.AddCert(s.mail.Certificate)
		e.MailRoots = s.refusing.Roots
		s.env, s.app = e, e.Start(t, app.All)
		s.client = s.app.Client(t)
		total := 0
		t.Cleanup(func() { s.checkCoverage(t, total) })
		for _, file := range files {
			total += s.runFile(t, file)
		}
		total += s.walkKeys(t)
	})
}

// stage is the App in which all scenarios run.
type stage struct {
	env *apptest.Environment
	// mail accepts letters, and refusing refuses them.
	mail, refusing *mailtest.Server
	app            *apptest.Running
	client         *apptest.Client
	played         atomic.Int64
}

// checkCoverage is only called after a whole run.
func (s *stage) checkCoverage(t *testing.T, total int) {
	if t.Failed() || int(s.played.Load()) < total {
		return
	}
	for _, answer := range s.client.Unseen(unreached...) {
		t.Errorf("no scenario gets the described answer %s", answer)
	}
}

func (s *stage) runFile(t *testing.T, file string) (count int) {
	t.Helper()
	text, err := os.ReadFile(file) //nolint:gosec // a file of testdata
	if err != nil {
		t.Fatal(err)
	}
	list, err := parseScenarios(string(text))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	name := strings.TrimSuffix(filepath.Base(file), ".txt")
	for _, sc := range list {
		t.Run(name+"/"+sc.name, func(t *testing.T) {
			t.Parallel()
			defer s.played.Add(1)
			play := s.begin(t, file)
			for _, step := range sc.steps {
				play.step(t, step)
			}
		})
	}
	return len(list)
}

// play is one running scenario.
type play struct {
	*stage
	file     string
	org      tenant.Organization
	vars     map[string]string
	receiver *apptest.Receiver
	platform *shownPlatform // that was given
	secret   string         // of the issuer that was given
	identity providertest.Fake
}

func (s *stage) begin(t *testing.T, file string) *play {
	t.Helper()
	p := &play{stage: s, file: filepath.Base(file), receiver: apptest.NewReceiver(t)}
	p.org = p.organization(t)
	p.vars = map[string]string{
		"org": p.org.ID, "key": p.newKey(t, p.org.ID, tenant.Key{Name: "scenario"}),
		"open": "{{", "close": "}}", // for templates
		"admin": s.env.Config.AdminToken.Reveal(), "hook": p.receiver.URL,
	}
	return p
}

func (p *play) organization(t *testing.T) tenant.Organization {
	t.Helper()
	o, err := tenant.Create(t.Context(), p.app.Store, "test", tenant.Organization{Name: "Example Inc."})
	must(t, err)
	return o
}

func (p *play) newKey(t *testing.T, organization string, k tenant.Key) string {
	t.Helper()
	_, secret, err := tenant.CreateKey(t.Context(), p.app.Store, "test", organization, k)
	must(t, err)
	return secret.Reveal()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (p *play) step(t *testing.T, step scenarioStep) {
	t.Helper()
	var err error
	switch {
	case step.given != "":
		err = p.arrange(t, strings.Fields(step.given))
	case step.webhook != "":
		err = p.await(t, step)
	default:
		err = p.call(t, step)
	}
	if err != nil {
		t.Fatalf("%s:%d: %v", p.file, step.line, err)
	}
}

// patience is how long an expected event may take.
const patience = 30 * time.Second

// until repeats try until it succeeds or patience ends.
func until(try func() error) error {
	deadline := time.Now().Add(patience)
	pause := 2 * time.Millisecond
	for {
		err := try()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(pause)
		pause = min(2*pause, 100*time.Millisecond)
	}
}

func (p *play) call(t *testing.T, step scenarioStep) error {
	t.Helper()
	call, err := p.prepare(step.sent)
	if err != nil {
		return err
	}
	once := func() error {
		a := p.client.Do(t, call)
		if status := strconv.Itoa(a.Status); status != step.want.head {
			return fmt.Errorf("got %s %s, want %s", status, a.Body, step.want.head)
		}
		return p.compare(step.want, a.Header, a.Body)
	}
	if step.eventually {
		return until(once)
	}
	return once()
}

// prepare writes the call. It has the organization's key and is JSON, unless the
// scenario says otherwise.
func (p *play) prepare(sent part) (c apptest.Call, err error) {
	head, err := expand(sent.head, p.vars)
	if err != nil {
		return c, err
	}
	body, err := expand(strings.Join(sent.body, "\n"), p.vars)
	if err != nil {
		return c, err
	}
	c.Method, c.Path, _ = strings.Cut(head, " ")
	c.Body, c.Header = []byte(body), http.Header{"X-Api-Key": {p.vars["key"]}}
	if body != "" {
		c.Header.Set("Content-Type", "application/json")
	}
	for _, h := range sent.headers {
		value, err := expand(h[1], p.vars)
		if err != nil {
			return c, err
		}
		c.Header.Set(h[0], value)
		if value == "" {
			c.Header.Del(h[0])
		}
	}
	return c, nil
}

func (p *play) compare(want part, header http.Header, body []byte) error {
	for _, h := range want.headers {
		if got := header.Get(h[0]); got != "" || h[1] != "" {
			if err := match(h[1], got, p.vars); err != nil {
				return fmt.Errorf("header %s: %w", h[0], err)
			}
		}
	}
	if !want.hasBody {
		return nil
	}
	var template strings.Builder
	for _, line := range want.body {
		template.WriteString(strings.TrimSpace(line))
	}
	return match(template.String(), string(body), p.vars)
}

// await waits for a webhook of a type with the expected headers and body.
func (p *play) await(t *testing.T, step scenarioStep) error {
	t.Helper()
	return until(func() error {
		err := fmt.Errorf("no webhook %s came", step.webhook)
		for _, r := range p.receiver.Got() {
			if r.Type() != step.webhook {
				continue
			}
			p.client.CheckWebhook(t, r)
			if err = p.compare(step.want, r.Header, r.Body); err == nil {
				return nil
			}
		}
		return err
	})
}

// arrangements are what a scenario can arrange with given.
var arrangements = map[string]func(p *play, t *testing.T, args []string){
	"credits":   (*play).giveCredits,   // credits 10
	"people":    (*play).givePeople,    // people US ann@a.example.com …
	"rate":      (*play).giveRate,      // rate 0.01 2: a second, at once
	"setting":   (*play).giveSetting,   // setting colleagues off
	"key":       (*play).giveKey,       // key name scope,scope [expired|revoked|unlinked|orphaned]
	"stranger":  (*play).giveStranger,  // another organization: {{stranger}} is its key
	"disabled":  (*play).giveDisabled,  // the organization is disabled
	"webhook":   (*play).giveWebhook,   // webhook type …: {{endpoint}} is its id
	"mail":      (*play).giveMail,      // mail [refuses]: the organization has a mail server
	"links":     (*play).giveLinks,     // links invite redirection
	"threshold": (*play).giveThreshold, // threshold 2: of credits.low
	"colleague": (*play).giveColleague, // colleague ann@a.example.com status [photo]: made by hand by john@acme.example.com; {{colleague}} is its id
	"failed":    (*play).giveFailed,    // failed {{requestId}}: its step has failed
	"poisoned":  (*play).givePoisoned,  // poisoned: {{task}} is a task that three workers have died with
	"overdue":   (*play).giveOverdue,   // overdue {{requestId}}: it has waited for credits for more than 30 days
	"answers":   (*play).giveAnswers,   // answers 410 204: of the receiver, the last one for good
	"failing":   (*play).giveFailing,   // failing {{endpoint}} 6: its deliveries have failed for 6 days
	"platform":  (*play).givePlatform,  // platform http: {{credentials}} and {{settings}} connect to a fake of it
	"connected": (*play).giveConnected, // connected [paused]: to that fake; {{connection}} is the connection's id
	"slow":      (*play).giveSlow,      // slow: that fake takes a second for each call
	"fault":     (*play).giveFault,     // fault 401: what that fake answers from now on; 0 is as it should
	"uploading": (*play).giveUploading, // uploading: one file is being uploaded, and no second one may be
	"followup":  (*play).giveFollowUp,  // followup {"name":…}: its definition, without spaces
	"lookups":   (*play).giveLookups,   // lookups: {{group}}, {{client}} and {{paper}} name the organization, and {{token}} is good for it
	"token":     (*play).giveToken,     // token name {"exp":1}: a token with other claims
	"provider":  (*play).giveProvider,  // provider Auth0: the organization's users are kept at a fake of it
	"flow":      (*play).giveFlow,      // flow Okta: the setting flow.userProvider
	"known":     (*play).giveKnown,     // known ann@a.example.com Ann Lee {"city":"Bonn"}: the provider knows a user
	"away":      (*play).giveAway,      // away 503, hang or no: how the provider fails from now on
	"claims":    (*play).giveClaims,    // claims: tokens have to name the organization, by g, c and p
	"user":      (*play).giveUser,      // user ann@a.example.com {"firstName":"Ann"} [password] [verified]: {{user}} is the id
	"stale":     (*play).giveStale,     // stale codes: those that were sent have expired
	"refused":   (*play).giveRefused,   // refused {{connection}} reason …: the platform has disconnected it
}

func (p *play) arrange(t *testing.T, words []string) error {
	t.Helper()
	arrange, ok := arrangements[words[0]]
	if !ok {
		return fmt.Errorf("there is no arrangement %s", words[0])
	}
	for i := range words {
		word, err := expand(words[i], p.vars)
		if err != nil {
			return err
		}
		words[i] = word
	}
	arrange(p, t, words[1:])
	return nil
}

func (p *play) giveCredits(t *testing.T, args []string) {
	n, err := strconv.ParseInt(args[0], 10, 64)
	must(t, err)
	_, err = credit.TopUp(t.Context(), p.app.Store, "test", p.org.ID, n, "given")
	must(t, err)
}

func (p *play) givePeople(t *testing.T, args []string) {
	var list []directory.Person
	for _, a := range args[1:] {
		email, err := identity.ParseEmail(a)
		must(t, err)
		list = append(list, directory.Person{Email: email, Name: email.Local(), Country: args[0], Identity: user.IdentityOf(usersync.UserInput{Email: email})})
	}
	must(t, directory.SavePeople(t.Context(), p.app.Store.Org(p.org.ID), p.org.Salt, list))
}

func (p *play) giveFollowUp(t *testing.T, args []string) {
	customer{app: p.app, org: p.org}.followUp(t, args[0])
}

func (p *play) giveUploading(t *testing.T, _ []string) {
	p.change(t, func(o *tenant.Organization) { o.Settings.Limits.Imports = 1 })
	_, err := directory.BeginImport(t.Context(), p.app.Store.Org(p.org.ID), "test", "csv")
	must(t, err)
}

func (p *play) change(t *testing.T, change func(*tenant.Organization)) {
	t.Helper()
	_, err := tenant.Update(t.Context(), p.app.Store.Org(p.org.ID), "test", func(o *tenant.Organization) ([]string, error) {
		change(o)
		return []string{"settings"}, nil
	})
	must(t, err)
}

func (p *play) giveRate(t *testing.T, args []string) {
	rate, err := strconv.ParseFloat(args[0], 64)
	must(t, err)
	burst, err := strconv.Atoi(args[1])
	must(t, err)
	p.change(t, func(o *tenant.Organization) { o.Settings.RateLimit = tenant.RateLimit{Rate: rate, Burst: burst} })
}

func (p *play) giveSetting(t *testing.T, args []string) {
	if args[0] != "colleagues" {
		t.Fatalf("there is no setting %s", args[0])
	}
	on := args[1] == "on"
	p.change(t, func(o *tenant.Organization) { o.Settings.ColleaguesEnabled = &on })
}

func (p *play) giveDisabled(t *testing.T, _ []string) {
	p.change(t, func(o *tenant.Organization) { o.Status = tenant.Disabled })
}

func (p *play) giveKey(t *testing.T, args []string) {
	k, organization := tenant.Key{Name: args[0]}, p.org.ID
	for scope := range strings.SplitSeq(args[1], ",") {
		k.Scopes = append(k.Scopes, tenant.Scope(scope))
	}
	switch fate := strings.Join(args[2:], " "); fate {
	case "expired":
		k.ExpiresAt.Time = time.Now().Add(-time.Minute)
	case "unlinked":
		organization = ""
	case "orphaned":
		organization = usersync.NewID(usersync.PrefixOrganization)
	case "revoked", "":
	default:
		t.Fatalf("there is no fate %s", fate)
	}
	made, secret, err := tenant.CreateKey(t.Context(), p.app.Store, "test", organization, k)
	must(t, err)
	if len(args) > 2 && args[2] == "revoked" {
		_, err := tenant.RevokeKey(t.Context(), p.app.Store.Org(organization), "test", made.ID, time.Now().Add(-time.Minute))
		must(t, err)
	}
	p.vars[args[0]], p.vars[args[0]+"Id"] = secret.Reveal(), made.ID
}

func (p *play) giveStranger(t *testing.T, _ []string) {
	o := p.organization(t)
	_, err := credit.TopUp(t.Context(), p.app.Store, "test", o.ID, 10, "given")
	must(t, err)
	p.vars["stranger"], p.vars["strangerOrg"] = p.newKey(t, o.ID, tenant.Key{Name: "stranger"}), o.ID
}

func (p *play) giveWebhook(t *testing.T, args []string) {
	secret := webhooksig.NewSecret()
	e, err := delivery.CreateEndpoint(t.Context(), p.app.Store.Org(p.org.ID), "test", delivery.Endpoint{URL: p.receiver.URL, EventTypes: args}, secret)
	must(t, err)
	p.vars["endpoint"] = e.ID
}

func (p *play) giveMail(t *testing.T, args []string) {
	smtp := p.mail.Settings()
	if len(args) > 0 {
		smtp = p.refusing.Settings()
	}
	p.change(t, func(o *tenant.Organization) { o.Settings.SMTP = &smtp })
}

func (p *play) giveLinks(t *testing.T, args []string) {
	p.change(t, func(o *tenant.Organization) { o.DefaultInviteLink, o.DefaultRedirectionLink = args[0], args[1] })
}

func (p *play) giveThreshold(t *testing.T, args []string) {
	n, err := strconv.ParseInt(args[0], 10, 64)
	must(t, err)
	p.change(t, func(o *tenant.Organization) { o.Settings.LowCreditThreshold = &n })
}

func (p *play) giveColleague(t *testing.T, args []string) {
	email, err := identity.ParseEmail(args[0])
	must(t, err)
	inviter, err := identity.ParseEmail("john@acme.example.com")
	must(t, err)
	c, err := colleague.Create(t.Context(), p.app.Store.Org(p.org.ID), "test", p.org.Salt, colleague.NewColleague{
		Colleague: colleague.Colleague{Name: email.Local(), CompanyName: "Acme"}, Email: email, Inviter: inviter,
	})
	must(t, err)
	photo := ""
	if len(args) > 2 {
		photo = args[2]
	}
	admin(t, p.env, fmt.Sprintf(`UPDATE colleagues SET status = '%s', photo = '%s' WHERE id = '%s'`, args[1], photo, c.ID))
	p.vars["colleague"] = c.ID
}

func (p *play) giveAnswers(t *testing.T, args []string) {
	statuses := make([]int, len(args))
	for i, a := range args {
		n, err := strconv.Atoi(a)
		must(t, err)
		statuses[i] = n
	}
	p.receiver.Next(statuses...)
}

// giveFailing makes an endpoint's series of failures so many days old.
func (p *play) giveFailing(t *testing.T, args []string) {
	days, err := strconv.Atoi(args[1])
	must(t, err)
	now, err := p.app.Store.Now(t.Context())
	must(t, err)
	admin(t, p.env, fmt.Sprintf(`UPDATE webhook_endpoints SET failing_since = %d WHERE id = '%s'`, now.AddDate(0, 0, -days).UnixMicro(), args[0]))
}

// giveFailed writes what a worker writes when it gives up a request after hours.
func (p *play) giveFailed(t *testing.T, args []string) {
	id := args[0]
	must(t, until(func() error {
		r, err := request.Get(t.Context(), p.app.Store.Org(p.org.ID), id)
		if err == nil && !r.Status.Final() {
			err = fmt.Errorf("the request is %s", r.Status)
		}
		return err
	}))
	admin(t, p.env, `UPDATE steps SET status = 'failed', reason = '', details = '', found = '', error_code = 'internal',
		error_message = 'The request could not be worked.' WHERE request_id = '`+id+`'`)
	admin(t, p.env, `UPDATE requests SET status = 'failed' WHERE id = '`+id+`'`)
}

// givePoisoned writes a task without requests as a worker leaves it.
func (p *play) givePoisoned(t *testing.T, _ []string) {
	id := usersync.NewID(usersync.PrefixTask)
	admin(t, p.env, fmt.Sprintf(`INSERT INTO outbox (id, organization_id, kind, queue, fairness_key, args, state, deaths, look_at, created_at)
		VALUES ('%s', '%s', 'pipeline.run', 'run', '%s', '{"requests":[]}', 'poisoned', 3, 253370764800000000, %d)`, id, p.org.ID, p.org.ID, time.Now().UnixMicro()))
	p.vars["task"] = id
}

// giveOverdue makes a request that waits for credits a month older.
func (p *play) giveOverdue(t *testing.T, args []string) {
	month := (31 * 24 * time.Hour).Microseconds()
	admin(t, p.env, fmt.Sprintf(`UPDATE requests SET created_at = created_at - %d WHERE id = '%s'`, month, args[0]))
	admin(t, p.env, fmt.Sprintf(`UPDATE outbox SET state = 'ready', look_at = 0 WHERE id = (SELECT task_id FROM requests WHERE id = '%s')`, args[0]))
	p.app.Relay.Wake()
}

func (p *play) givePlatform(t *testing.T, args []string) {
	p.platform = customer{app: p.app, org: p.org}.serve(t, args[0])
	p.vars["credentials"], p.vars["settings"] = p.platform.connection.Credentials.Reveal(), string(p.platform.connection.Settings)
}

func (p *play) giveConnected(t *testing.T, args []string) {
	connection := p.platform.create(t, p.platform.connection)
	p.vars["connection"] = connection.ID
	if len(args) > 0 {
		_, err := platform.PauseConnection(t.Context(), p.app.Store.Org(p.org.ID), "test", connection.ID)
		must(t, err)
	}
}

func (p *play) giveSlow(*testing.T, []string) { p.platform.server.Slow(p.platform.name, time.Second) }

func (p *play) giveFault(t *testing.T, args []string) {
	status, err := strconv.Atoi(args[0])
	must(t, err)
	p.platform.server.Break(p.platform.name, fakeplatform.Fault{Status: status})
}

func (p *play) giveRefused(t *testing.T, args []string) {
	c, err := platform.GetConnection(t.Context(), p.app.Store.Org(p.org.ID), args[0])
	must(t, err)
	must(t, p.app.Store.Tx(t.Context(), func(tx *store.Tx) error {
		_, err := platform.Disconnect(t.Context(), tx, c, strings.Join(args[1:], " "))
		return err
	}))
}
