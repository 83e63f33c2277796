package console_test

import (
	"context"
	_ "embed"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"usersync/internal/app/apptest"
	"usersync/test/services"
)

// axe is axe-core of npm. It is not part of the programs.
//
//go:embed lib/axe-4.14.1.min.js
var axe string

// shots is where the pictures are written, from this folder.
var shots = filepath.Join("..", "..", "bin", "console")

// within bounds what a test does in the browser.
const within = 4 * time.Minute

// device is how a page is looked at.
type device struct {
	name          string
	width, height int64
	mobile, dark  bool
}

var (
	desktop = device{name: "desktop", width: 1360, height: 900}
	phone   = device{name: "phone", width: 390, height: 844, mobile: true, dark: true}
)

// browser is one tab. What its pages complain of fails the test.
type browser struct {
	context.Context
	base string

	mu         sync.Mutex
	complaints []string
}

// newBrowser starts a browser of its own.
func newBrowser(t *testing.T, base string, d device) *browser {
	t.Helper()
	path, err := services.FindChromium()
	if err != nil {
		t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.DisableGPU, chromedp.WindowSize(int(d.width), int(d.height)))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, cancel := context.WithTimeout(t.Context(), within)
	t.Cleanup(cancel)
	ctx, stop := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(stop)
	ctx, closeTab := chromedp.NewContext(ctx)
	t.Cleanup(closeTab)
	b := &browser{Context: ctx, base: base}
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	scheme := "light"
	if d.dark {
		scheme = "dark"
	}
	call(t, b, cdplog.Enable, cdp.Empty{})
	call(t, b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: d.width, Height: d.height, DeviceScaleFactor: 1, Mobile: d.mobile})
	call(t, b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	return b
}

// call runs a command of the browser's protocol.
func call[P, R any](t *testing.T, b *browser, command cdp.Command[P, R], params P) R {
	t.Helper()
	result, err := chromedp.Call(b, command, params)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// hear notes what a page complains of: broken scripts, and what its policy forbids.
func (b *browser) hear(event any) {
	text := ""
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		text = e.ExceptionDetails.Text
	case *cdplog.EventEntryAdded:
		if e.Entry.Level == cdplog.EntryLevelError && e.Entry.Source != cdplog.EntrySourceNetwork {
			text = e.Entry.Text
		}
	}
	if text != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.complaints = append(b.complaints, text)
	}
}

func (b *browser) run(t *testing.T, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(b, actions...); err != nil {
		t.Fatal(err)
	}
}

// open opens a page and waits for its content.
func (b *browser) open(t *testing.T, path string) {
	t.Helper()
	b.run(t, chromedp.Navigate(b.base+path), chromedp.WaitReady(chromedp.CSS("#main")))
}

// signIn signs in by keyboard alone.
func (b *browser) signIn(t *testing.T, secret string) {
	t.Helper()
	b.open(t, "/sign-in")
	b.run(t, chromedp.SendKeys(chromedp.CSS("#secret"), secret+"\r"), chromedp.WaitReady(chromedp.CSS("nav.side")))
}

// value returns what an expression is worth in the page.
func value[T any](t *testing.T, b *browser, expression string) T {
	t.Helper()
	v, err := chromedp.Run(b, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// until waits until an expression holds in the page, whichever page that is by then.
func (b *browser) until(t *testing.T, what, expression string) {
	t.Helper()
	apptest.Eventually(t, what, func() bool {
		yes, err := chromedp.Run(b, chromedp.Evaluate[bool](expression))
		return err == nil && yes
	})
}

// finding is what axe-core finds.
type finding struct {
	ID     string `json:"id"`
	Impact string `json:"impact"`
	Help   string `json:"help"`
	Nodes  []struct {
		HTML string `json:"html"`
	} `json:"nodes"`
}

// check fails the test for what axe-core finds serious, for what the page complains of, and
// for a page that is wider than the device.
func (b *browser) check(t *testing.T, name string, d device) {
	t.Helper()
	value[int](t, b, axe+"; 0")
	found := value[[]finding](t, b, "axe.run().then((r) => r.violations)")
	for _, f := range found {
		if f.Impact == "serious" || f.Impact == "critical" {
			text, _ := json.Marshal(f.Nodes)
			t.Errorf("%s on a %s: %s: %s %s", name, d.name, f.ID, f.Help, text)
		}
	}
	if wide := value[int64](t, b, "document.documentElement.scrollWidth"); wide > d.width {
		t.Errorf("%s on a %s is %d wide", name, d.name, wide)
	}
	b.complain(t, name, d)
}

// complain fails the test for what the page complained of until now.
func (b *browser) complain(t *testing.T, name string, d device) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, text := range b.complaints {
		t.Errorf("%s on a %s complains: %s", name, d.name, text)
	}
	b.complaints = nil
}

// shoot writes a picture of the whole page.
func (b *browser) shoot(t *testing.T, name string, d device) {
	t.Helper()
	height := value[float64](t, b, "document.documentElement.scrollHeight")
	beyond := true
	picture := call(t, b, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: &beyond,
		Clip: &page.Viewport{Width: float64(d.width), Height: min(max(height, float64(d.height)), 2400), Scale: 1}}).Data
	if err := os.MkdirAll(shots, 0o750); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(shots, strings.ReplaceAll(name, "/", "-")+"-"+d.name+".png")
	if err := os.WriteFile(file, picture, 0o600); err != nil {
		t.Fatal(err)
	}
}
