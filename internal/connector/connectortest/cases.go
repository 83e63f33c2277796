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
	k := f.Kind
	if k.Name != f.Fake.Name() || k.Title == "" || k.Batch < 1 || k.Limits.Timeout <= 0 {
		f.Errorf("name %q (the fake's is %q), title %q, batch %d, timeout %v", k.Name, f.Fake.Name(), k.Title, k.Batch, k.Limits.Timeout)
	}
	if len(kindSecrets(k, f.config)) == 0 {
		f.Error("no credential is a secret: the suite cannot look for it")
	}
	if _, err := os.Stat("README.md"); err != nil {
		f.Error("the connector has no README.md")
	}
}

func namesWhatIsMissing(f *fixture) {
	_, err := f.Kind.Open(connector.Config{}, &connector.Client{HTTP: f.client})
	f.wantCode(err, usersync.CodeInvalid)
	for _, field := range f.Kind.Credentials {
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
	if n := f.Fake.People().Len(); n != 0 {
		f.Errorf("the check made %d people", n)
	}
}

func hasContent(f *fixture) {
	ada := Ada(f)
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
	for _, secret := range kindSecrets(f.Kind, f.config) {
		if strings.Contains(string(text), secret) {
			f.Error("the content holds a credential")
		}
	}
	return string(text)
}

func adds(f *fixture) {
	ada := Ada(f)
	r := f.bringOne(&ada)
	f.wantStatus(r, connector.Added)
	if !says(f.Held(ada), "Ada") {
		f.Errorf("the platform does not have the name: %+v", f.Held(ada).Fields)
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
	ada := Ada(f)
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
	if n := f.Fake.People().Len(); n != 1 {
		f.Errorf("there are %d people: %v", n, f.Fake.People().Emails())
	}
	if one := f.Held(p); !says(one, name) {
		f.Errorf("the platform does not have the name %s: %+v", name, one.Fields)
	}
}

func repeats(f *fixture) {
	ada := Ada(f)
	f.bringOne(&ada)
	before := f.Held(ada)
	f.wantStatus(f.bringOne(&ada), connector.Updated)
	f.wantOne(ada, "Ada")
	after := f.Held(ada)
	after.Writes = before.Writes
	if fmt.Sprint(before) != fmt.Sprint(after) {
		f.Errorf("was %+v, became %+v", before, after)
	}
}

func pushesBatches(f *fixture) {
	people := People(f, f.Kind.Batch+1)
	var results []connector.Result
	before := f.calls()
	for slice := range slices.Chunk(people, f.Kind.Batch) {
		some, err := f.push(slice...)
		if err != nil {
			f.Fatal(err)
		}
		results = append(results, some...)
	}
	calls := f.calls() - before
	if f.Kind.Batch > 1 && !f.suite.OneCallEach && calls > 10+len(people)/10 {
		f.Errorf("%d calls for %d people", calls, len(people))
	}
	for i, r := range f.confirmed(people, results) {
		if !arrived(r) {
			f.Fatalf("person %d: %+v", i, r)
		}
	}
	for _, p := range people {
		f.Held(p)
	}
	if n := f.Fake.People().Len(); n != len(people) {
		f.Errorf("%d people arrived of %d", n, len(people))
	}
}

func pushesConcurrently(f *fixture) {
	people := People(f, 8)
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
	f.eventually("all people arrived", func() bool { return f.Fake.People().Len() == len(people) })
}

func writesUnicode(f *fixture) {
	for i, name := range []string{"Zoë", "Łukasz", "Марина", "小林", "نور", "O'Neil \"Q\" <&>", "Ångström 🎈"} {
		p := Person(f, fmt.Sprintf("unicode+%d@büro.%s", i, domain), name, "Müller")
		if r := f.bringOne(&p); !arrived(r) {
			f.Errorf("%s: %+v, %v", name, r, r.Err)
			continue
		}
		if one := f.Held(p); !says(one, name) {
			f.Errorf("%s became %+v", name, one.Fields)
		}
	}
}

func writesUnicodeAddress(f *fixture) {
	p := Person(f, "zoë@"+domain, "Zoë", "Müller")
	if r := f.bringOne(&p); arrived(r) {
		f.Held(p)
	} else if r.Status != connector.Failed && r.Status != connector.Skipped {
		f.Errorf("got %+v", r)
	}
}

// writesSegments writes addresses that mean something in a path or a query.
func writesSegments(f *fixture) {
	for _, local := range []string{"ada+test", "ada/lovelace", "ada?x=1", "ada%41", "o'ada", "ada&co#1"} {
		p := Person(f, local+"@"+domain, "Ada", "Lovelace")
		r := f.bringOne(&p)
		f.wantStatus(r, connector.Added)
		f.Held(p)
		f.wantStatus(f.preview(p), connector.Updated)
		f.wantStatus(f.remove(p), connector.Removed)
		f.wantGone(p)
	}
}

func keepsUnmapped(f *fixture) {
	ada := Ada(f)
	ada.Attributes = map[string]any{"suiteUnmapped": "unmapped-7f3a", "suiteNumber": 123456789.5}
	f.wantStatus(f.bringOne(&ada), connector.Added)
	f.Held(ada)
	for _, text := range []string{"unmapped-7f3a", "suiteUnmapped", "suiteNumber", "123456789.5"} {
		if strings.Contains(f.sent.String(), text) {
			f.Errorf("%s was sent", text)
		}
	}
}

func respectsUnsubscribes(f *fixture) {
	ada := Ada(f)
	f.bringOne(&ada)
	f.Unsubscribe(ada)
	ada.FirstName, ada.Name = "Augusta", "Augusta Lovelace"
	preview := f.preview(ada)
	r := f.bringOne(&ada)
	switch {
	case r.Status == connector.Skipped && r.Reason != usersync.ReasonUnsubscribed:
		f.Errorf("skipped, but the reason is %q", r.Reason)
	case r.Status != connector.Skipped:
		f.wantStatus(r, connector.Updated)
	}
	if !f.Held(ada).Unsubscribed {
		f.Error("was subscribed again")
	}
	if (preview.Status == connector.Skipped) != (r.Status == connector.Skipped) {
		f.Errorf("the preview said %s, the push did %s", preview.Status, r.Status)
	}
}

func failsOne(f *fixture) {
	people := People(f, 3)
	f.Refuse(people[1])
	results := f.bring(people...)
	for _, i := range []int{0, 2} {
		if !arrived(results[i]) {
			f.Errorf("person %d: %+v, %v", i, results[i], results[i].Err)
		}
		f.Held(people[i])
	}
	if r := results[1]; r.Status != connector.Failed && r.Status != connector.Skipped {
		f.Errorf("the refused person: %+v", r)
	}
}

func removes(f *fixture) {
	ada, grace := Ada(f), Grace(f)
	f.bringOne(&ada)
	f.bringOne(&grace)
	f.wantStatus(f.remove(ada), connector.Removed)
	f.wantGone(ada)
	f.Held(grace)
	f.wantStatus(f.remove(ada), connector.Removed) // again
	grace.Remote = ""
	f.wantStatus(f.remove(grace), connector.Removed)
	f.wantGone(grace)
	f.wantStatus(f.remove(Person(f, "nobody@"+domain, "No", "Body")), connector.Removed)
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
	if one, ok := f.Fake.People().Get(p.Email.Display()); ok && !one.Refused {
		f.Errorf("is still there: %+v", one)
	}
}

func previews(f *fixture) {
	ada := Ada(f)
	added := f.preview(ada)
	if n := f.Fake.People().Len(); n != 0 {
		f.Errorf("the preview made %d people", n)
	}
	f.wantPreviewed(added, connector.Added, f.bringOne(&ada))

	before := f.Held(ada)
	ada.FirstName, ada.Name = "Augusta", "Augusta Lovelace"
	updated := f.preview(ada)
	if after := f.Held(ada); fmt.Sprint(before) != fmt.Sprint(after) {
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
	holder, ok := f.Fake.(fakeplatform.Holder)
	if !ok {
		f.Fatal("the connector confirms, so its fake must be a fakeplatform.Holder")
	}
	holder.Hold(true)
	people := People(f, min(max(3, f.suite.JobOf), f.Kind.Batch))
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
		f.Held(people[i])
	}
}

// The platform may have forgotten a job: then nobody has succeeded or failed, and
// nothing says that the connection does not work.
func asksForAStrangeJob(f *fixture) {
	confirmer, ok := f.connector.(connector.Confirmer)
	if !ok {
		f.Skip("the platform does its work at once")
	}
	people := People(f, min(max(3, f.suite.JobOf), f.Kind.Batch))
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
