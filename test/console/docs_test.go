package console_test

import (
	"testing"

	"github.com/chromedp/chromedp"
)

func TestTheDescriptionIsShownAndItsPolicyForbidsNothingOfIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, d := range []device{desktop, phone} {
		b := newBrowser(t, w.app.Addr(), d)
		b.run(t, chromedp.Navigate(b.base+"/docs"))
		b.until(t, "the parts of the API are listed", `document.querySelectorAll(".opblock-tag").length >= 8`)
		b.until(t, "webhooks are a part of it", `document.body.textContent.includes("onUserSyncCompleted") || document.body.textContent.includes("user_sync.completed")`)
		b.run(t, chromedp.Click(chromedp.CSS("#operations-tag-native")))
		b.until(t, "the routes of a part are listed", `document.querySelectorAll("#operations-native-syncUser").length === 1`)
		b.run(t, chromedp.Click(chromedp.CSS("#operations-native-syncUser .opblock-summary-control")))
		b.until(t, "a route shows an example of its body", `document.querySelector("#operations-native-syncUser .body-param__example, #operations-native-syncUser .highlight-code")?.textContent.includes("email")`)
		b.complain(t, "docs", d)
		b.shoot(t, "docs", d)
	}
}
