// Package browsertest drives a headless Chromium for tests of the pages: it opens them, acts on them, takes their pictures, and
// fails the test for what they complain of, ask for elsewhere, or keep from people with a screen reader.
package browsertest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Browser is a headless Chromium with one page, and what went wrong on it.
type Browser struct {
	t     *testing.T
	ctx   context.Context
	pages string // folder for pictures

	mu       sync.Mutex
	requests []string // URLs that pages asked for
	problems []string // errors that pages reported
}

// Open starts Chromium with a profile of its own. Without one on PATH the test is skipped,
// or fails where WABLOCK_TEST_REQUIRE_BROWSER is set, so that CI cannot pass by skipping.
func Open(t *testing.T, header map[string]any) *Browser {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "headless-shell"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		const why = "no chromium on PATH: install Debian's chromium to run this test"
		if os.Getenv("WABLOCK_TEST_REQUIRE_BROWSER") != "" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, chromedp.DisableGPU, // both for containers, where tests run as root
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.WindowSize(1360, 1100),
	)...)
	t.Cleanup(cancel)
	b := &Browser{t: t, pages: pictures(t)}
	b.ctx, cancel = chromedp.NewContext(ctx, chromedp.WithListener(b.listen))
	t.Cleanup(cancel)
	// The browser lives as long as the context of the first action, so that one has no deadline.
	if err := chromedp.Do(b.ctx, command(network.Enable, network.EnableParams{}), command(cdplog.Enable, cdp.Empty{}),
		command(network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: header})); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	return b
}

// command is an action that sends one command of the protocol.
func command[P, R any](c cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, params)
		return err
	})
}

// pictures returns the folder for pictures: WABLOCK_TEST_ARTIFACTS, or the test's own, which
// go test keeps with -artifacts.
func pictures(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("WABLOCK_TEST_ARTIFACTS")
	if dir == "" {
		return t.ArtifactDir()
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (b *Browser) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	case *cdplog.EventEntryAdded:
		if e.Entry.Level == cdplog.EntryLevelError {
			b.problems = append(b.problems, e.Entry.Text+" "+e.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		b.problems = append(b.problems, e.ExceptionDetails.Text)
	}
}

// Run does an action, and gives it less time than the test has.
func Run[T any](b *Browser, what string, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		page, _ := chromedp.Run(b.ctx, chromedp.Text("body"))
		b.mu.Lock()
		defer b.mu.Unlock()
		b.t.Fatalf("%s: %v; the page says: %.2000s; problems: %v", what, err, page, b.problems)
	}
	return v
}

// Visit opens a page, waits until each of the texts is on it, takes its picture, and returns the
// page as it then is: its HTML, and the text that people see.
func (b *Browser) Visit(url, picture string, texts ...string) (html, text string) {
	b.t.Helper()
	Run(b, url, chromedp.Navigate(url))
	for _, want := range texts {
		Run(b, url+": "+want, chromedp.Poll[bool](fmt.Sprintf("document.body.innerText.includes(%q)", want)))
	}
	b.Picture(picture)
	return Run(b, url, chromedp.OuterHTML("html")), Run(b, url, chromedp.Text("body"))
}

// Picture takes a picture of what is seen of the page.
func (b *Browser) Picture(name string) {
	b.t.Helper()
	png := Run(b, name, chromedp.CaptureScreenshot())
	path := filepath.Join(b.pages, name)
	if err := os.WriteFile(path, png, 0o644); err != nil {
		b.t.Fatal(err)
	}
	b.t.Log("picture:", path)
}

// Size makes the screen so large.
func (b *Browser) Size(width, height int64) {
	b.t.Helper()
	Run(b, "set the size", command(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < phone,
	}))
}

// phone is the width, in pixels, below which a screen is that of a phone.
const phone = 600

// Click clicks what a selector of CSS finds.
func (b *Browser) Click(what, selector string) {
	b.t.Helper()
	Run(b, what, chromedp.Click(chromedp.CSS(selector)))
}

// Says waits until a text is on the page.
func (b *Browser) Says(what, text string) {
	b.t.Helper()
	poll := chromedp.Poll[bool](fmt.Sprintf("document.body.innerText.includes(%q)", text))
	for range 3 { // a page that is just being left ends the first
		ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
		_, err := chromedp.Run(ctx, poll)
		cancel()
		if err == nil {
			return
		}
	}
	Run(b, what, poll)
}

// Quiet fails the test for what pages asked for elsewhere, and for what they complained of, save
// the complaints that hold one of the texts given.
func (b *Browser) Quiet(origin string, expected ...string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, url := range b.requests {
		if !strings.HasPrefix(url, origin) && !strings.HasPrefix(url, "data:") {
			b.t.Errorf("a page asked for %s", url)
		}
	}
next:
	for _, p := range b.problems {
		for _, text := range expected {
			if strings.Contains(p, text) {
				continue next
			}
		}
		b.t.Errorf("a page reports: %s", p)
	}
}

// Accessible fails the test for what axe-core finds of a page that is serious. WABLOCK_TEST_AXE names its axe.min.js;
// without it nothing is checked, unless WABLOCK_TEST_REQUIRE_AXE is set, so that CI cannot pass by leaving it out.
func (b *Browser) Accessible(page string) {
	b.t.Helper()
	path := os.Getenv("WABLOCK_TEST_AXE")
	if path == "" {
		if os.Getenv("WABLOCK_TEST_REQUIRE_AXE") != "" {
			b.t.Fatal("WABLOCK_TEST_AXE names no axe.min.js")
		}
		return
	}
	script, err := os.ReadFile(path)
	if err != nil {
		b.t.Fatal(err)
	}
	Run(b, "load axe", chromedp.Evaluate[chromedp.Void](string(script)+"; void 0"))
	Run(b, "run axe", chromedp.Evaluate[chromedp.Void](`window.axeFound = undefined; axe.run().then(r => { window.axeFound = JSON.stringify(r.violations.map(v => ({impact: v.impact, id: v.id, nodes: v.nodes.map(n => n.html.slice(0, 200)).slice(0, 3)}))) }); void 0`))
	Run(b, "wait for axe", chromedp.Poll[bool](`window.axeFound !== undefined`))
	var found []struct {
		Impact, ID string
		Nodes      []string
	}
	if err := json.Unmarshal([]byte(Run(b, "read axe", chromedp.Evaluate[string](`window.axeFound`))), &found); err != nil {
		b.t.Fatal(err)
	}
	for _, v := range found {
		if v.Impact == "serious" || v.Impact == "critical" {
			b.t.Errorf("%s: %s, %s: %q", page, v.Impact, v.ID, v.Nodes)
		}
	}
}
