// Package connectortest is the conformance suite of connectors. It tries what every
// connector must do against the connector's fake.
package connectortest

import (
	"bytes"
	"log"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"

	"usersync/internal/connector"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/connector/published"
)

// Options say what is different about a platform. The zero Options suit a platform
// with a batch call whose answers are read.
type Options struct {
	// Spec is the platform's OpenAPI description. Every request of the suite is compared
	// with it.
	Spec published.Spec
	// OneCallEach is for a platform without a batch call, see connector.Client.Each.
	OneCallEach bool
	// StatusOnly is for a platform that says everything by the status of its answers. A
	// body that cannot be read changes nothing there.
	StatusOnly bool
	// JobOf is how many people it takes to make a job, if fewer people are pushed at once.
	JobOf int
}

// Platform is a connector with its fake, for the tests of both.
type Platform struct {
	Options
	Kind connector.Platform
	new  func() fakeplatform.Platform
}

// Of returns a platform whose tests get a fake each. Options may follow.
func Of[F fakeplatform.Platform](kind connector.Platform, newFake func() F, options ...Options) Platform {
	p := Platform{Kind: kind, new: func() fakeplatform.Platform { return newFake() }}
	if len(options) > 0 {
		p.Options = options[0]
	}
	return p
}

// Run tries the connector against its fake, in parallel to other tests. It is
// called from a test of the connector's own directory, once:
//
//	var platform = connectortest.Of(mailchimp.Platform, fake.New)
//
//	func TestConnector(t *testing.T) { platform.Run(t) }
//
// A push is made as the pipeline makes it: what is rejected is halved until the
// guilty person stands alone, and what is pending is confirmed.
func (p Platform) Run(t *testing.T) {
	t.Helper()
	t.Parallel()
	written := listen(t)
	t.Cleanup(func() {
		// All cases have ended by now. People of the suite have addresses at one domain.
		for _, secret := range append(kindSecrets(p.Kind, p.new().Config()), domain) {
			if strings.Contains(written.String(), secret) {
				t.Errorf("a credential or an address was logged")
			}
		}
	})
	if p.Spec.Files != nil {
		t.Run("requests fit the platform's description", func(t *testing.T) {
			t.Parallel()
			p.Spec.Load(t)
		})
	}
	ended := make(outcomes, len(cases))
	t.Cleanup(func() { ended.compare(t, p.Kind.Name) }) // after all cases
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.name != paced { // it is about the rate: the others wait for its end
				t.Parallel()
			}
			t.Cleanup(func() { ended[i] = outcomeOf(t) })
			c.run(p.start(t))
		})
	}
}

// paced is the case that is not tried beside others, whose work would delay its calls.
const paced = "no window holds more calls than the platform allows"

// cases are what is tried. Each case has a fake of its own: THE LIST.
var cases = []struct {
	name string
	run  func(*fixture)
}{
	{"the kind describes itself", describes},
	{"missing credentials are named", namesWhatIsMissing},
	{"a check learns the account and changes nothing", checks},
	{"content tells profiles apart and nothing else", hasContent},
	{"a new person is added", adds},
	{"a changed person is updated", updates},
	{"the same again changes nothing", repeats},
	{"more people than one batch holds arrive in few calls", pushesBatches},
	{"people are pushed at once", pushesConcurrently},
	{"names of all scripts and an internationalised domain arrive", quick(writesUnicode)},
	{"an address of another script arrives or is rejected", writesUnicodeAddress},
	{"an address is one segment of a path", quick(writesSegments)},
	{"what is mapped nowhere is not sent", keepsUnmapped},
	{"who unsubscribed stays unsubscribed", respectsUnsubscribes},
	{"who does not want e-mail is told of, and gets none", quick(unsubscribes)},
	{"who agreed is told of, and who left later stays away", quick(subscribes)},
	{"a contact moves to another address", quick(moves)},
	{"who is taken off the list is off it, and nobody else", quick(leavesList)},
	{"a tag that is taken away is gone, and nothing else", quick(leavesTags)},
	{"the fields that a mapping may name are listed", listsFields},
	{"a field is made, once, and takes values", quick(makesFields)},
	{"whom a webhook names by an id is found", resolves},
	{"who unsubscribed from the list is not put back", quick(staysAway(fakeplatform.LeftList))},
	{"who unsubscribed from everything is not put back", quick(staysAway(fakeplatform.LeftAll))},
	{"who was cleaned is not put back", quick(staysAway(fakeplatform.LeftCleaned))},
	{"who complained is not put back", quick(staysAway(fakeplatform.LeftComplain))},
	{"numbers keep their digits", quick(keepsDigits)},
	{"what is cleared is cleared and the rest stays", quick(clears)},
	{"telephone numbers are E.164 or left out", quick(leavesPhonesOut)},
	{"dates and lists have the form of the platform", quick(writesDatesAndLists)},
	{"a success with another body is none", quick(takesNoStrangeSuccess)},
	{"one refused person fails alone", quick(failsOne)},
	{"wrong credentials disconnect", disconnects},
	{"a refusal of the credentials disconnects", disconnectsOn401},
	{"429 waits as long as it says", waitsAsTold},
	{"429 that does not say waits too", waitsUntold},
	{"429 that asks for a day waits an hour", waitsAnHour},
	{"a pause holds for one tenant, at one address", pausesOneTenant},
	{"what a platform says without end is cut short", quick(cutsShort)},
	{"500, 502 and 503 are unavailable", quick(isUnavailable)},
	{"no answer in time is unavailable", timesOut},
	{"hostile answers end with the time of a call", endsInTime},
	{"answers that make no sense are unavailable", quick(readsNonsense)},
	{"a cancelled push ends at once", cancels},
	{"what a platform repeats of secrets and addresses goes no further", quick(keepsSecrets)},
	{"removal is done and done again", quick(removes)},
	{"who is archived instead is not deleted", quick(archives)},
	{"a preview changes nothing and says what a push does", previews},
	{"a push whose answer was lost is made again", quick(repeatsWhatBroke)},
	{paced, staysBelowTheLimit},
	{"nor does a part that the platform counts by itself", staysBelowInLanes},
	{"what waits in line for the limits is not lost", losesNothingInLine},
	{"a push that its limits break off keeps what it learnt", keepsWhatItLearnt},
	{"a job is pending until it is done", confirms},
	{"a job that nobody knows has no outcome", asksForAStrangeJob},
}

// listen keeps what is logged through the default loggers.
func listen(t *testing.T) *buffer {
	t.Helper()
	b := &buffer{}
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug})))
	log.SetOutput(b)
	t.Cleanup(func() {
		slog.SetDefault(before)
		log.SetOutput(os.Stderr)
	})
	return b
}

// buffer is a buffer for many writers.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
