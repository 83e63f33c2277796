package connectortest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"usersync/internal/connector"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/usersync"
)

func describes(f *fixture) {
	k := f.suite.kind
	if k.Name != f.fake.Name() || k.Title == "" || k.Batch < 1 || k.Limits.Timeout <= 0 {
		f.Errorf("name %q (the fake's is %q), title %q, batch %d, timeout %v", k.Name, f.fake.Name(), k.Title, k.Batch, k.Limits.Timeout)
	}
	if len(kindSecrets(k, f.config)) == 0 {
		f.Error("no credential is a secret: the suite cannot look for it")
	}
	if _, err := os.Stat("README.md"); err != nil {
		f.Error("the connector has no README.md")
	}
}

func namesWhatIsMissing(f *fixture) {
	_, err := f.suite.kind.Open(connector.Config{}, &connector.Client{HTTP: f.client})
	f.wantCode(err, usersync.CodeInvalid)
	for _, field := range f.suite.kind.Credentials {
		name := "credentials." + field.Name
		named := slices.ContainsFunc(usersync.AsError(err).Fields, func(e usersync.FieldError) bool { return e.Field == name })
		if field.Required != named {
			f.Errorf("%s: required %v, named %v", name, field.Required, named)
		}
	}
}

func checks(f *fixture) { // start has made the check
	if f.config.Facts.Account == "" {
		f.Error("the check tells no account")
	}
	if n := f.fake.People().Len(); n != 0 {
		f.Errorf("the check made %d people", n)
	}
}

func hasContent(f *fixture) {
	ada := f.ada()
	before := f.content(ada)
	ada.Remote, ada.Attributes = "of the last push", map[string]any{"suiteUnmapped": "x"}
	if after := f.content(ada); after != before {
		f.Errorf("what is not sent changes the content: %s, then %s", before, after)
	}
	ada.FirstName, ada.Name = "Augusta", "Augusta Lovelace"
	if f.content(ada) == before {
		f.Error("another name is the same content")
	}
}

// content is a person's content as the pipeline hashes it.
func (f *fixture) content(p connector.Profile) string {
	f.Helper()
	text, err := json.Marshal(f.connector.Content(p))
	if err != nil {
		f.Fatal(err)
	}
	for _, secret := range kindSecrets(f.suite.kind, f.config) {
		if strings.Contains(string(text), secret) {
			f.Error("the content holds a credential")
		}
	}
	return string(text)
}

func adds(f *fixture) {
	ada := f.ada()
	r := f.bringOne(&ada)
	f.wantStatus(r, connector.Added)
	if !says(f.held(ada), "Ada") {
		f.Errorf("the platform does not have the name: %+v", f.held(ada).Fields)
	}
	if strings.Contains(r.Details, "would") {
		f.Errorf("done, but the sentence says %q", r.Details)
	}
}

// wantStatus takes Synced for Added and Updated: some platforms do not tell.
func (f *fixture) wantStatus(r connector.Result, want connector.Status) {
	f.Helper()
	if r.Status != want && (r.Status != connector.Synced || want == connector.Removed) {
		f.Errorf("got %+v, %v, want %s", r, r.Err, want)
	}
}

func updates(f *fixture) {
	ada := f.ada()
	f.bringOne(&ada)
	ada.FirstName, ada.Name = "Augusta", "Augusta Lovelace"
	f.wantStatus(f.bringOne(&ada), connector.Updated)
	f.wantOne(ada, "Augusta")
	ada.Remote, ada.FirstName, ada.Name = "", "Byron", "Byron Lovelace" // what was kept may be lost
	f.wantStatus(f.bringOne(&ada), connector.Updated)
	f.wantOne(ada, "Byron")
}

// wantOne fails unless the platform has exactly this person, by this name.
func (f *fixture) wantOne(p connector.Profile, name string) {
	f.Helper()
	if n := f.fake.People().Len(); n != 1 {
		f.Errorf("there are %d people: %v", n, f.fake.People().Emails())
	}
	if one := f.held(p); !says(one, name) {
		f.Errorf("the platform does not have the name %s: %+v", name, one.Fields)
	}
}

func repeats(f *fixture) {
	ada := f.ada()
	f.bringOne(&ada)
	before := f.held(ada)
	f.wantStatus(f.bringOne(&ada), connector.Updated)
	f.wantOne(ada, "Ada")
	after := f.held(ada)
	after.Writes = before.Writes
	if fmt.Sprint(before) != fmt.Sprint(after) {
		f.Errorf("was %+v, became %+v", before, after)
	}
}

func pushesBatches(f *fixture) {
	people := f.people(f.suite.kind.Batch + 1)
	var results []connector.Result
	before := f.server.State(f.fake.Name()).Calls
	for slice := range slices.Chunk(people, f.suite.kind.Batch) {
		some, err := f.push(slice...)
		if err != nil {
			f.Fatal(err)
		}
		results = append(results, some...)
	}
	calls := f.server.State(f.fake.Name()).Calls - before
	if f.suite.kind.Batch > 1 && !f.suite.OneCallEach && calls > 10+len(people)/10 {
		f.Errorf("%d calls for %d people", calls, len(people))
	}
	for i, r := range f.confirmed(people, results) {
		if !arrived(r) {
			f.Fatalf("person %d: %+v", i, r)
		}
	}
	for _, p := range people {
		f.held(p)
	}
	if n := f.fake.People().Len(); n != len(people) {
		f.Errorf("%d people arrived of %d", n, len(people))
	}
}

func pushesConcurrently(f *fixture) {
	people := f.people(8)
	var wg sync.WaitGroup
	for _, p := range people {
		wg.Go(func() {
			results, err := f.connector.Push(f.Context(), []connector.Profile{p})
			if err != nil || len(results) != 1 {
				f.Errorf("got %v, %v", results, err)
				return
			}
			if results[0].Status == connector.Pending {
				_, err = f.connector.(connector.Confirmer).Confirm(f.Context(), results[0].Job, []connector.Profile{p})
			}
			if err != nil {
				f.Error(err)
			}
		})
	}
	wg.Wait()
	f.eventually("all people arrived", func() bool { return f.fake.People().Len() == len(people) })
}

func writesUnicode(f *fixture) {
	for i, name := range []string{"Zoë", "Łukasz", "Марина", "小林", "نور", "O'Neil \"Q\" <&>", "Ångström 🎈"} {
		p := f.personAt(fmt.Sprintf("unicode+%d@büro.%s", i, domain), name, "Müller")
		if r := f.bringOne(&p); !arrived(r) {
			f.Errorf("%s: %+v, %v", name, r, r.Err)
			continue
		}
		if one := f.held(p); !says(one, name) {
			f.Errorf("%s became %+v", name, one.Fields)
		}
	}
}

func writesUnicodeAddress(f *fixture) {
	p := f.person("zoë", "Zoë", "Müller")
	if r := f.bringOne(&p); arrived(r) {
		f.held(p)
	} else if r.Status != connector.Failed && r.Status != connector.Skipped {
		f.Errorf("got %+v", r)
	}
}

func keepsUnmapped(f *fixture) {
	ada := f.ada()
	ada.Attributes = map[string]any{"suiteUnmapped": "unmapped-7f3a", "suiteNumber": 123456789.5}
	f.wantStatus(f.bringOne(&ada), connector.Added)
	f.held(ada)
	for _, text := range []string{"unmapped-7f3a", "suiteUnmapped", "suiteNumber", "123456789.5"} {
		if strings.Contains(f.sent.String(), text) {
			f.Errorf("%s was sent", text)
		}
	}
}

func respectsUnsubscribes(f *fixture) {
	ada := f.ada()
	f.bringOne(&ada)
	f.fake.People().Put(ada.Email.Display(), func(one *fakeplatform.Person, _ bool) { one.Unsubscribed = true })
	ada.FirstName, ada.Name = "Augusta", "Augusta Lovelace"
	preview := f.preview(ada)
	r := f.bringOne(&ada)
	switch {
	case r.Status == connector.Skipped && r.Reason != usersync.ReasonUnsubscribed:
		f.Errorf("skipped, but the reason is %q", r.Reason)
	case r.Status != connector.Skipped:
		f.wantStatus(r, connector.Updated)
	}
	if !f.held(ada).Unsubscribed {
		f.Error("was subscribed again")
	}
	if (preview.Status == connector.Skipped) != (r.Status == connector.Skipped) {
		f.Errorf("the preview said %s, the push did %s", preview.Status, r.Status)
	}
}

func failsOne(f *fixture) {
	people := f.people(3)
	f.fake.People().Put(people[1].Email.Display(), func(one *fakeplatform.Person, _ bool) { one.Refused = true })
	results := f.bring(people...)
	for _, i := range []int{0, 2} {
		if !arrived(results[i]) {
			f.Errorf("person %d: %+v, %v", i, results[i], results[i].Err)
		}
		f.held(people[i])
	}
	if r := results[1]; r.Status != connector.Failed && r.Status != connector.Skipped {
		f.Errorf("the refused person: %+v", r)
	}
}

func removes(f *fixture) {
	ada, grace := f.ada(), f.person("grace", "Grace", "Hopper")
	f.bringOne(&ada)
	f.bringOne(&grace)
	f.wantStatus(f.remove(ada), connector.Removed)
	f.wantGone(ada)
	f.held(grace)
	f.wantStatus(f.remove(ada), connector.Removed) // again
	grace.Remote = ""
	f.wantStatus(f.remove(grace), connector.Removed)
	f.wantGone(grace)
	f.wantStatus(f.remove(f.person("nobody", "No", "Body")), connector.Removed)
}

func (f *fixture) remove(p connector.Profile) connector.Result {
	f.Helper()
	r, err := f.connector.Remove(f.Context(), p)
	f.clean(err, r)
	if err != nil {
		f.Fatalf("remove: %v", err)
	}
	f.sound([]connector.Profile{p}, []connector.Result{r})
	return f.confirmed([]connector.Profile{p}, []connector.Result{r})[0]
}

// wantGone takes the mark that a platform keeps in order to refuse who was erased.
func (f *fixture) wantGone(p connector.Profile) {
	f.Helper()
	if one, ok := f.fake.People().Get(p.Email.Display()); ok && !one.Refused {
		f.Errorf("is still there: %+v", one)
	}
}

func previews(f *fixture) {
	ada := f.ada()
	added := f.preview(ada)
	if n := f.fake.People().Len(); n != 0 {
		f.Errorf("the preview made %d people", n)
	}
	f.wantPreviewed(added, connector.Added, f.bringOne(&ada))

	before := f.held(ada)
	ada.FirstName, ada.Name = "Augusta", "Augusta Lovelace"
	updated := f.preview(ada)
	if after := f.held(ada); fmt.Sprint(before) != fmt.Sprint(after) {
		f.Errorf("the preview made %+v of %+v", after, before)
	}
	f.wantPreviewed(updated, connector.Updated, f.bringOne(&ada))
	if added.Status != updated.Status && added.Details == updated.Details {
		f.Errorf("added and updated are told alike: %q", added.Details)
	}
}

func (f *fixture) preview(p connector.Profile) connector.Result {
	f.Helper()
	r, err := f.connector.Preview(f.Context(), p)
	f.clean(err, r)
	if err != nil {
		f.Fatalf("preview: %v", err)
	}
	f.sound([]connector.Profile{p}, []connector.Result{r})
	return r
}

func (f *fixture) wantPreviewed(preview connector.Result, want connector.Status, done connector.Result) {
	f.Helper()
	f.wantStatus(preview, want)
	f.wantStatus(done, want)
	if !strings.Contains(preview.Details, "would be") || strings.Contains(done.Details, "would be") {
		f.Errorf("the preview says %q, the push %q", preview.Details, done.Details)
	}
}

func confirms(f *fixture) {
	confirmer, ok := f.connector.(connector.Confirmer)
	if !ok {
		f.Skip("the platform does its work at once")
	}
	holder, ok := f.fake.(fakeplatform.Holder)
	if !ok {
		f.Fatal("the connector confirms, so its fake must be a fakeplatform.Holder")
	}
	holder.Hold(true)
	people := f.people(min(max(3, f.suite.JobOf), f.suite.kind.Batch))
	results, err := f.push(people...)
	if err != nil {
		f.Fatal(err)
	}
	for range 2 {
		for _, r := range f.askedOnce(confirmer, people, results) {
			if r.Status != connector.Pending || r.Job == "" {
				f.Errorf("the job is held, but got %+v", r)
			}
		}
	}
	holder.Hold(false)
	for i, r := range f.confirmed(people, results) {
		if !arrived(r) {
			f.Errorf("person %d: %+v, %v", i, r, r.Err)
		}
		f.held(people[i])
	}
}

// The platform may have forgotten a job: then nobody has succeeded or failed, and
// nothing says that the connection does not work.
func asksForAStrangeJob(f *fixture) {
	confirmer, ok := f.connector.(connector.Confirmer)
	if !ok {
		f.Skip("the platform does its work at once")
	}
	people := f.people(min(max(3, f.suite.JobOf), f.suite.kind.Batch))
	results, err := f.push(people...)
	if err != nil {
		f.Fatal(err)
	}
	job := results[0].Job
	end := "9"
	if strings.HasSuffix(job, end) {
		end = "8"
	}
	answers, err := confirmer.Confirm(f.Context(), job[:len(job)-1]+end, people)
	if err != nil {
		if !errors.Is(err, connector.ErrNoJob) {
			f.Errorf("got %v, want connector.ErrNoJob", err)
		}
		return
	}
	for _, r := range answers {
		if r.Status != connector.Pending {
			f.Errorf("got %+v of a job that nobody knows", r)
		}
	}
}

// askedOnce asks for the job of results, which is one.
func (f *fixture) askedOnce(c connector.Confirmer, people []connector.Profile, results []connector.Result) []connector.Result {
	f.Helper()
	jobs := pendingJobs(results)
	if len(jobs) != 1 {
		f.Fatalf("got %d jobs, want 1: %+v", len(jobs), results)
	}
	answers, err := c.Confirm(f.Context(), results[0].Job, people)
	if err != nil {
		f.Fatal(err)
	}
	f.sound(people, answers)
	return answers
}
