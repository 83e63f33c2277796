package console_test

import (
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"usersync/internal/request"
)

// shown is a page with a name for its pictures and a text that it must have.
type shown struct{ name, path, text string }

func (w *world) pages() []shown {
	return []shown{
		{"overview", "/", "Needs attention"}, {"requests", "/requests", w.succeeded}, {"requests-none", "/requests?status=queued&kind=event", "No requests here"},
		{"request", "/requests/" + w.succeeded, "Find colleagues"}, {"request-failed", "/requests/" + w.failed, "Retry what failed"},
		{"failures", "/failures", "Retry all"}, {"users", "/users", "jane.doe@acme.example.com"}, {"user", "/users/" + w.user, "What happened"},
		{"connections", "/connections", "Newsletter"}, {"connection", "/connections/" + w.connection, "Limits of an account"},
		{"connection-pick", "/connections/new", "Mailchimp"}, {"connection-new", "/connections/new?platform=mailchimp", "Check and save"},
		{"connection-edit", "/connections/" + w.connection + "/edit", "Check and save"}, {"connection-fields", "/connections/" + w.connection + "/fields", "FNAME"},
		{"webhooks", "/webhooks", "The shop's back end"}, {"webhook-new", "/webhooks/new", "Make the endpoint"}, {"webhook", "/webhooks/" + w.endpoint + "?window=24h", "would be sent again"},
		{"delivery", "/deliveries/" + w.delivery, "HTTP 2"}, {"credits", "/credits", "invoice 17"}, {"follow-ups", "/follow-ups", "Welcome series"},
		{"follow-up-new", "/follow-ups/new", "Make the follow-up"}, {"follow-up", "/follow-ups/" + w.followUp, "Version 1"},
		{"imports", "/imports", w.imported}, {"import", "/imports/" + w.imported, "Lines that were refused"}, {"organization", "/organization", w.org.ID},
		{"search-none", "/search?q=nobody", "Nothing is found"}, {"not-found", "/requests/req_x", "no such thing"},
	}
}

func (w *world) operatorPages() []shown {
	return []shown{
		{"operator", "/operator", "Northwind Travel"}, {"operator-organization", "/operator/organizations/" + w.org.ID, "Top up"},
		{"operator-queues", "/operator/queues", "Stuck"}, {"operator-audit", "/operator/audit", "api_key.create"},
	}
}

func (b *browser) lookAt(t *testing.T, list []shown, d device) {
	t.Helper()
	for _, p := range list {
		b.open(t, p.path)
		if !strings.Contains(value[string](t, b, "document.body.textContent"), p.text) {
			t.Errorf("%s on a %s lacks %q", p.name, d.name, p.text)
		}
		b.check(t, p.name, d)
		b.shoot(t, p.name, d)
	}
}

func TestEveryPageIsFitForDesktopAndTelephoneAndReaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, d := range []device{desktop, phone} {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			b := newBrowser(t, w.app.Addr(), d)
			b.open(t, "/sign-in")
			b.check(t, "sign-in", d)
			b.shoot(t, "sign-in", d)
			b.signIn(t, w.secret)
			b.lookAt(t, w.pages(), d)
			operator := newBrowser(t, w.app.Addr(), d)
			operator.signIn(t, w.adminToken)
			operator.lookAt(t, w.operatorPages(), d)
		})
	}
}

func TestPagesAreReadAndMendWithoutScripts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := newBrowser(t, w.app.Addr(), desktop)
	call(t, b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.signIn(t, w.secret)
	b.open(t, "/connections/"+w.connection)
	b.run(t, chromedp.Click(chromedp.CSS(`form[action$="/pause"] button`)), chromedp.WaitVisible(chromedp.CSS(`form[action$="/resume"] button`)))
	b.run(t, chromedp.Click(chromedp.CSS(`form[action$="/resume"] button`)), chromedp.WaitVisible(chromedp.CSS(`form[action$="/pause"] button`)))
	b.open(t, "/requests")
	b.run(t, chromedp.SetValue(chromedp.CSS("#filter-status"), "partially_succeeded"), chromedp.Click(chromedp.CSS(".filters button")), chromedp.WaitVisible(chromedp.CSS(".filters a")))
	at, err := chromedp.Run(b, chromedp.Location())
	must(t, err)
	if !strings.Contains(at, "status=partially_succeeded") {
		t.Errorf("the filter led to %s", at)
	}
}

func TestMarketingMendsInTheBrowser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := newBrowser(t, w.app.Addr(), desktop)
	b.signIn(t, w.secret)

	// A failed request is found by its cause, and runs again: its page follows by itself.
	b.open(t, "/failures")
	b.run(t, chromedp.Click(chromedp.CSS(`form[action="/failures/retry"] button`)), chromedp.WaitVisible(chromedp.CSS(".notice.good")))
	b.open(t, "/requests/"+w.failed)
	b.until(t, "the page shows the success", `document.querySelector("#live dd .badge.good") !== null`)
	w.ends(t, w.failed, request.Succeeded)

	// A dry run shows what a push would do; a test reaches the endpoint.
	b.open(t, "/users/"+w.user)
	b.run(t, chromedp.Click(chromedp.CSS(`form[action$="/sync"] button`)), chromedp.WaitVisible(chromedp.CSS(".notice.good")))
	b.until(t, "the dry run is done", `document.querySelector("#live").textContent.includes("would sync") || document.querySelector("#live").textContent.includes("unchanged")`)
	b.open(t, "/webhooks/"+w.endpoint)
	b.run(t, chromedp.Click(chromedp.CSS(`form[action$="/test"] button`)))
	b.until(t, "the test was answered", `document.querySelector("h1").textContent === "Delivery" && document.body.textContent.includes("HTTP 2")`)

	// A person is erased, behind a question.
	b.open(t, "/users/"+w.user)
	b.run(t, chromedp.Click(chromedp.CSS(".careful summary")), chromedp.WaitVisible(chromedp.CSS(".careful button.danger")))
	b.shoot(t, "user-erase", desktop)
	b.run(t, chromedp.Click(chromedp.CSS(".careful button.danger")))
	b.until(t, "the receipts are there", `document.querySelector("h1").textContent === "Erasure" && document.querySelector("#live").textContent.includes("succeeded")`)
	b.check(t, "erasure", desktop)
	b.shoot(t, "erasure", desktop)
}

func TestListsFollowByThemselvesAndByKeyboard(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := newBrowser(t, w.app.Addr(), desktop)
	b.signIn(t, w.secret)
	b.open(t, "/requests")
	b.until(t, "the page is live", `document.getElementById("live-state").dataset.state === "on"`)
	id := w.sync(t, "new.comer@acme.example.com", "New", "Comer")
	b.until(t, "the new request is there", `document.getElementById("live").textContent.includes("`+id+`")`)

	// A filter applies when it is chosen, and stays in the address.
	value[int](t, b, `const s = document.getElementById("filter-status"); s.value = "partially_succeeded"; s.dispatchEvent(new Event("change", {bubbles: true})); 0`)
	b.until(t, "the filter applies", `location.search.includes("status=partially_succeeded") && !document.getElementById("live").textContent.includes("`+id+`")`)
	b.until(t, "the filtered page is live", `document.getElementById("live-state").dataset.state === "on"`)

	// The slash leads to the search, which leads to the user.
	value[int](t, b, `document.activeElement.blur(); 0`)
	b.run(t, chromedp.KeyEvent("/"))
	b.until(t, "the search has the focus", `document.activeElement.id === "search"`)
	value[int](t, b, `document.activeElement.value = ""; 0`) // a key that is pressed by a program is typed all the same
	b.run(t, chromedp.SendKeys(chromedp.CSS("#search"), "jane.doe@acme.example.com\r"))
	b.until(t, "the user is found", `document.querySelector("h1").textContent === "Jane Doe"`)
	if got := value[string](t, b, `document.querySelector("time").title`); !strings.HasSuffix(got, "UTC") {
		t.Errorf("a time says %q on hover", got)
	}
}

func TestTheOperatorTopsUpInTheBrowser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := newBrowser(t, w.app.Addr(), desktop)
	b.signIn(t, w.adminToken)
	b.open(t, "/operator/organizations/"+w.org.ID)
	b.run(t, chromedp.SendKeys(chromedp.CSS("#amount"), "25"), chromedp.SendKeys(chromedp.CSS("#reference"), "invoice 18\r"), chromedp.WaitVisible(chromedp.CSS(".notice.good")))
	b.open(t, "/operator/queues")
	b.run(t, chromedp.Click(chromedp.CSS(`form[action="/operator/queues/bulk/pause"] button`)), chromedp.WaitVisible(chromedp.CSS(`form[action="/operator/queues/bulk/resume"] button`)))
	b.run(t, chromedp.Click(chromedp.CSS(`form[action="/operator/queues/bulk/resume"] button`)), chromedp.WaitVisible(chromedp.CSS(`form[action="/operator/queues/bulk/pause"] button`)))
	b.open(t, "/operator")
	b.run(t, chromedp.Click(chromedp.CSS(`form[action$="/open"] button`)))
	b.until(t, "the organization is open", `document.querySelector("h1").textContent === "Overview" && document.querySelector(".whose").textContent.includes("Northwind Travel")`)
}
