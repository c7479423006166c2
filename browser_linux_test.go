package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// startBrowser starts a Chromium for a test and what is in it, with a home of its own.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	exe := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			exe = path
			break
		}
	}
	if exe == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("there is no Chromium (Debian package chromium)")
		}
		t.Skip("there is no Chromium (Debian package chromium)")
	}
	dir, err := os.MkdirTemp("", "browser")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	ctx, cancel := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(exe), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.UserDataDir(dir), chromedp.Env("HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_CACHE_HOME="+dir),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("hide-scrollbars", true),
		chromedp.WSURLReadTimeout(patience))
	t.Cleanup(cancel)
	// It does not know every word of the newest browsers, and says so a lot.
	ctx, cancel = chromedp.NewContext(ctx, chromedp.WithErrorf(func(string, ...any) {}), chromedp.WithLogf(func(string, ...any) {}))
	t.Cleanup(cancel)
	if err := chromedp.Run(ctx); err != nil {
		t.Fatalf("start the browser: %v", err)
	}
	return ctx
}

// tab is a page in a browser that knows nothing of other tabs.
type tab struct {
	t    testing.TB
	ctx  context.Context
	base string // the address of the dashboard

	mu     sync.Mutex
	faults []string // what the browser complains of
}

// open opens the dashboard of h at path, as the tray does.
func open(t testing.TB, in context.Context, h *home, path string, first ...chromedp.Action) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(in, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	p := &tab{t: t, ctx: ctx}
	chromedp.ListenTarget(ctx, func(e any) {
		switch e := e.(type) {
		case *runtime.EventExceptionThrown:
			p.complain(e.ExceptionDetails.Error())
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.APITypeError || e.Type == runtime.APITypeAssert {
				p.complain(fmt.Sprint("console: ", string(e.Args[0].Value)))
			}
		case *log.EventEntryAdded:
			if e.Entry.Level == log.LevelError {
				p.complain(e.Entry.Text + " " + e.Entry.URL)
			}
		}
	})
	if err := chromedp.Run(ctx); err != nil { // whose context is the tab's life
		t.Fatalf("open a tab: %v", err)
	}
	address := h.types("dashboard", "--print")
	p.base = address[:strings.Index(address, "/enter/")]
	p.do(log.Enable(), chromedp.EmulateViewport(1000, 800))
	p.do(first...)
	p.do(chromedp.Navigate(address))
	if path != "/" {
		p.visit(path)
	}
	return p
}

func (p *tab) complain(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, what)
}

// clean wants that the browser has had nothing to complain of, but what is excused.
func (p *tab) clean(excused ...string) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
next:
	for _, f := range p.faults {
		for _, e := range excused {
			if strings.Contains(f, e) {
				continue next
			}
		}
		p.t.Errorf("the browser complains: %s", f)
	}
}

func (p *tab) try(actions ...chromedp.Action) error {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, actions...)
}

func (p *tab) do(actions ...chromedp.Action) {
	p.t.Helper()
	if err := p.try(actions...); err != nil {
		p.t.Fatalf("in the browser: %v\n%s", err, p.text())
	}
}

func (p *tab) visit(path string) {
	p.t.Helper()
	p.do(chromedp.Navigate(p.base + path))
}

// text is what is to be read on the page, for messages.
func (p *tab) text() (s string) {
	ctx, cancel := context.WithTimeout(p.ctx, 2*time.Second)
	defer cancel()
	_ = chromedp.Run(ctx, chromedp.Evaluate(`location.pathname + "\n" + document.body.innerText`, &s)) // else there is none
	return s
}

// await waits until an expression of the page is true.
func (p *tab) await(js string) {
	p.t.Helper()
	var last error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var ok bool
		ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
		last = chromedp.Run(ctx, chromedp.Evaluate("Boolean("+js+")", &ok))
		cancel()
		if last == nil && ok {
			return
		}
	}
	p.t.Fatalf("waited in vain for %s (%v) on\n%s", js, last, p.text())
}

// reads waits until the page says something.
func (p *tab) reads(texts ...string) {
	p.t.Helper()
	for _, s := range texts {
		quoted, err := json.Marshal(s)
		if err != nil {
			p.t.Fatal(err)
		}
		p.await("document.body.innerText.includes(" + string(quoted) + ")")
	}
}

// eval is the value of an expression of the page.
func eval[T any](p *tab, js string) (v T) {
	p.t.Helper()
	p.do(chromedp.Evaluate(js, &v))
	return v
}

// click presses what a selector finds, once the page that it leads to, if any, is
// there.
func (p *tab) click(selector string) {
	p.t.Helper()
	p.do(chromedp.Click(selector, chromedp.ByQuery, chromedp.NodeVisible))
}

// send presses what leads to another page, and waits until that is there.
func (p *tab) send(selector string) {
	p.t.Helper()
	p.do(chromedp.Evaluate("window.before = true", nil))
	p.click(selector)
	p.await("!window.before && document.readyState == 'complete'")
}

// fill types into a field, in place of what was there.
func (p *tab) fill(selector, text string) {
	p.t.Helper()
	to, err := json.Marshal([]string{selector, text})
	if err != nil {
		p.t.Fatal(err)
	}
	if !eval[bool](p, "(([to, text]) => { const f = document.querySelector(to); f.value = text; return f.value == text })("+string(to)+")") {
		p.t.Fatalf("%s does not take %q", selector, text)
	}
}

func (p *tab) theme(name string) {
	p.t.Helper()
	p.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}))
}

// picture is one of the whole page.
func (p *tab) picture() (png []byte) {
	p.t.Helper()
	p.do(chromedp.FullScreenshot(&png, 100))
	return png
}

// screen keeps a picture of what is seen of the page, for the documentation.
func (p *tab) screen(name string) {
	p.t.Helper()
	var png []byte
	p.do(chromedp.CaptureScreenshot(&png))
	if err := os.WriteFile(filepath.Join(os.Getenv(picturesVar), name+".png"), png, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// axe looks for what keeps people from using the page, and returns the serious
// faults.
func (p *tab) axe() (faults []string) {
	p.t.Helper()
	script, err := os.ReadFile("agentcore/dashboard/testdata/axe.min.js")
	if err != nil {
		p.t.Fatal(err)
	}
	if !eval[bool](p, "typeof axe === 'object'") {
		p.do(chromedp.Evaluate(string(script)+";0", nil))
	}
	var report string
	p.do(chromedp.Evaluate(`axe.run(document).then((r) => JSON.stringify(r.violations))`, &report, awaitPromise))
	var violations []struct {
		ID, Impact, Help string
		Nodes            []struct{ HTML, FailureSummary string }
	}
	if err := json.Unmarshal([]byte(report), &violations); err != nil {
		p.t.Fatal(err)
	}
	for _, v := range violations {
		if v.Impact == "serious" || v.Impact == "critical" {
			faults = append(faults, fmt.Sprintf("%s: %s: %s %s", v.ID, v.Help, v.Nodes[0].HTML, v.Nodes[0].FailureSummary))
		}
	}
	return faults
}

// awaitPromise has Evaluate wait for what a promise comes to.
func awaitPromise(e *runtime.EvaluateParams) *runtime.EvaluateParams { return e.WithAwaitPromise(true) }

// allow lets pages use the clipboard.
func allow(in context.Context, origin string) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		c := chromedp.FromContext(ctx)
		if c == nil || c.Browser == nil {
			return errors.New("no browser")
		}
		return browser.GrantPermissions([]browser.PermissionType{browser.PermissionTypeClipboardReadWrite, browser.PermissionTypeClipboardSanitizedWrite}).
			WithOrigin(origin).WithBrowserContextID(c.BrowserContextID).Do(ctx)
	})
}
