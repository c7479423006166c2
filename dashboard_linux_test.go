package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// TestInBrowser: the dashboard in a real browser, with a real agent behind it.
func TestInBrowser(t *testing.T) { // not beside others, which its load would disturb
	in := startBrowser(t)
	for name, test := range map[string]func(*testing.T, context.Context){
		"add a folder":       addAFolder,
		"add a port":         addAPort,
		"wrong input":        wrongInput,
		"live":               liveState,
		"log":                logPage,
		"edit":               editAndUndo,
		"code":               codeForAPhone,
		"settings":           settingsPage,
		"keyboard":           keyboardOnly,
		"without script":     withoutScript,
		"agent killed":       agentKilled,
		"hostile":            hostileTexts,
		"for everybody":      forEverybody,
		"500 shares":         manyShares,
		"a page of visitors": visitorsPage,
		"upload":             uploadPage,
		"out of sight":       outOfSight,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, in)
		})
	}
}

func addAFolder(t *testing.T, in context.Context) {
	h := newHome(t)
	dir := h.folder("Pictures", "cat.txt")
	p := open(t, in, h, "/")
	p.reads("Nothing is shared yet")
	p.send("a[href='/add/web']")
	p.await("document.querySelector('#f-target')")
	p.fill("#f-target", dir)
	p.send("button.main")
	p.reads("Pictures is shared.", "up")
	if body, err := fetch(h.get("Pictures").URLs[0] + "cat.txt"); err != nil || body != "200\ncat.txt" {
		t.Errorf("%q, %v", body, err)
	}
	p.visit("/")
	p.reads("1 share, all well", dir)
	p.clean()
}

// app is a web app on this computer that says hello.
func app(t *testing.T) (port string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	_, port, err = net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func addAPort(t *testing.T, in context.Context) {
	h := newHome(t)
	port := app(t)
	p := open(t, in, h, "/add/proxy")
	p.click("button[data-value='" + port + "']") // what listens is offered
	p.fill("#f-name", "My app")
	p.send("button.main")
	p.reads("My app is shared.", "http://127.0.0.1:"+port)
	if body, err := fetch(h.get("My app").URLs[0]); err != nil || body != "200\nhello" {
		t.Errorf("%q, %v", body, err)
	}
	p.clean()
}

// wrongInput: each fault is told beside its field, and what was typed is kept.
func wrongInput(t *testing.T, in context.Context) {
	h := newHome(t)
	dir := h.folder("Pictures")
	h.types("share", "web", dir, "--name", "taken")
	p := open(t, in, h, "/add/web")
	beside := func(field, want string) {
		t.Helper()
		p.await(`document.querySelector('.wrong [name="` + field + `"]')`)
		if got := eval[string](p, `document.querySelector('.wrong:has([name="`+field+`"]) .error').innerText`); !strings.Contains(got, want) {
			t.Errorf("beside %s: %q, want %q", field, got, want)
		}
	}
	for _, c := range []struct{ field, value, want string }{
		{"target", "", "is empty: give the folder to share."},
		{"target", dir + "/none", "There is no folder " + dir + "/none: check the spelling."},
		{"target", "Pictures", "is not an absolute path"},
		{"name", "a/b", "contains '/'"},
		{"name", "taken", "There is a share \"taken\" already"},
		{"port", "99999", "Must be a whole number from 0 to 65535"},
		{"expires", "soon", `a time to go such as "2h"`},
		{"networks", "lan", `but "lan" is none`},
	} {
		p.visit("/add/web")
		p.do(chromedp.Evaluate(`for (const d of document.querySelectorAll("details")) d.open = true`, nil))
		p.fill("#f-target", dir)
		p.fill(`[name="`+c.field+`"]`, c.value)
		p.send("button.main")
		beside(c.field, c.want)
		if got := eval[string](p, `document.querySelector('[name="`+c.field+`"]').value`); got != c.value {
			t.Errorf("%s: %q was typed, and %q is left", c.field, c.value, got)
		}
	}
	if list, err := h.client.List(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("there are %d shares, %v", len(list), err)
	}
	p.visit("/shares/nobody")
	p.reads("There is no share named \"nobody\"")
	p.visit("/nothing")
	p.reads("There is no such page.")
	p.clean("400", "404", "Failed to load resource") // which is what they are
}

func liveState(t *testing.T, in context.Context) {
	h := newHome(t)
	h.types("share", "web", h.folder("Live"))
	p := open(t, in, h, "/shares/Live")
	p.reads("up", "started")
	h.kill(h.get("Live").PID)
	p.reads("crashed", "is back", "It was killed by SIGKILL.", "It was away for") // without a reload
	p.send("button[formaction$='/stop']")
	p.reads("Live is paused.")
	p.await("document.querySelector('#now.nothing')")
	list := open(t, in, h, "/")
	list.reads("Live is paused")
	p.send("button[formaction$='/start']")
	p.reads("Live is up.")
	list.reads("1 share, all well")
	pid := h.get("Live").PID
	p.send("button[formaction$='/restart']")
	p.reads("Live was restarted. Nobody was cut off.")
	if now := h.get("Live").PID; now == pid {
		t.Error("it has the same process")
	}
	// Its folder goes: every place says the same.
	if err := os.Rename(h.path("Live"), h.path("away")); err != nil {
		t.Fatal(err)
	}
	_, _ = fetch(h.get("Live").URLs[0]) // somebody comes, and it is seen
	list.reads("its folder can't be read", "Put the folder back, or share another one.")
	p.reads("its folder can't be read", "Put the folder back, or share another one.")
	h.types("remove", "Live")
	list.reads("Nothing is shared yet")
	p.reads("This share was removed.")
	p.clean()
	list.clean()
}

func logPage(t *testing.T, in context.Context) {
	h := newHome(t)
	h.types("share", "web", h.folder("Pictures"))
	file := filepath.Join(h.path(".local", "state", "sharetray", "logs", "Pictures"), "log")
	add := func(text string) {
		t.Helper()
		f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	add("before \x00\xff\x1b[31mred\x1b[0m <script>fail()</script>\n")
	p := open(t, in, h, "/shares/Pictures/log")
	p.reads("serving", `before \x00\xffred <script>fail()</script>`)
	p.await("document.querySelector('#away').hidden")
	add("needle one\n")
	p.reads("needle one")
	add(strings.Repeat("long ", 200_000) + "\n" + strings.Repeat("\xfe", 5000) + "\nafter <img src=x onerror=fail()>\n")
	p.reads("after <img src=x onerror=fail()>", "…", `\xfe\xfe`)
	if n := eval[int](p, "document.querySelector('#log').innerText.length"); n > 40_000 {
		t.Errorf("%d characters are shown", n)
	}
	p.do(chromedp.SendKeys("#find", "NEEDLE", chromedp.ByQuery))
	p.await("document.querySelectorAll('#log span:not([hidden])').length == 1")
	p.reads("Lines found: 1")
	add("another needle\nhay\n")
	p.await("document.querySelectorAll('#log span:not([hidden])').length == 2")
	p.send(".find button") // as without a script
	p.await("location.search.includes('find=NEEDLE') && document.querySelectorAll('#log span:not([hidden])').length == 2")
	p.send("a[href$='of=access']")
	p.reads("No requests are logged.")
	h.types("set", "Pictures", "access_log=true")
	if _, err := fetch(h.get("Pictures").URLs[0] + "?visit"); err != nil {
		t.Fatal(err)
	}
	p.reads("GET /?visit")
	p.clean()
}

func editAndUndo(t *testing.T, in context.Context) {
	h := newHome(t)
	dir := h.folder("Edited", ".hidden")
	h.types("share", "web", dir)
	file := h.path(".config", "sharetray", "shares", "Edited.toml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append([]byte("# mine\n"), text...), 0o600); err != nil {
		t.Fatal(err)
	}
	link := h.get("Edited").URLs[0]
	p := open(t, in, h, "/shares/Edited/edit")
	p.click("#f-hidden_files")
	p.fill("#f-password", "secret words")
	p.send("button.main")
	p.reads("Edited is changed.", "guest")
	if body, err := fetch(link + ".hidden"); err != nil || !strings.HasPrefix(body, "401") {
		t.Errorf("%q, %v", body, err)
	}
	p.visit("/shares/Edited/edit")
	p.click("#f-password-off")
	p.click("#f-secret")
	p.send("button.main")
	p.reads("Edited is changed.", "/s/")
	text, err = os.ReadFile(file)
	if err != nil || !strings.HasPrefix(string(text), "# mine\n") || !strings.Contains(string(text), "hidden_files = true") || !strings.Contains(string(text), "secret = ") {
		t.Errorf("%s, %v", text, err)
	}
	if strings.Contains(eval[string](p, "document.documentElement.outerHTML"), "$2") {
		t.Error("the page shows a hash")
	}
	p.visit("/shares/Edited/edit")
	p.do(chromedp.Evaluate(`for (const d of document.querySelectorAll("details")) d.open = true`, nil))
	p.fill("#f-port", "1")
	if os.Getuid() == 0 {
		p.fill("#f-port", "70000")
	}
	p.send("button.main")
	p.await("document.querySelector('.wrong [name=port]')")

	// Removed, and back: the file byte by byte, and what has happened.
	text, err = os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p.visit("/shares/Edited")
	p.click("details.remove summary")
	p.send("button.danger")
	p.reads("Edited was removed.", "Nothing is shared yet")
	if _, err := os.Stat(file); err == nil {
		t.Error("its file is there")
	}
	p.send("form[action^='/undo/'] button")
	p.reads("Edited is back.", "1 share, all well")
	if now, err := os.ReadFile(file); err != nil || string(now) != string(text) {
		t.Errorf("the file is now\n%s\n(%v), and was\n%s", now, err, text)
	}
	p.visit("/shares/Edited")
	p.reads("started", "restarted")
	p.clean("400")
}

func codeForAPhone(t *testing.T, in context.Context) {
	if _, err := exec.LookPath("zbarimg"); err != nil {
		t.Fatal("zbarimg is not installed (Debian package zbar-tools)")
	}
	h := newHome(t)
	h.types("share", "web", h.folder("Pictures"))
	for _, theme := range []string{"light", "dark"} {
		p := open(t, in, h, "/shares/Pictures/qr")
		p.theme(theme)
		p.reads("Only this computer can open it so far.")
		png := filepath.Join(t.TempDir(), "code.png")
		if err := os.WriteFile(png, p.picture(), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("zbarimg", "-q", "--raw", png).Output()
		if err != nil || strings.TrimSpace(string(out)) != h.get("Pictures").URLs[0] {
			t.Errorf("%s: the code says %q (%v)", theme, out, err)
		}
		p.clean()
	}
	p := open(t, in, h, "/shares/Pictures")
	p.do(allow(in, p.base))
	p.click("button.copy")
	p.await("document.querySelector('#status').innerText == 'Copied'")
	var got string
	p.do(chromedp.Evaluate("navigator.clipboard.readText()", &got, chromedp.EvalAsValue, awaitPromise))
	if got != h.get("Pictures").URLs[0] {
		t.Errorf("the clipboard has %q", got)
	}
	p.clean()
}

func settingsPage(t *testing.T, in context.Context) {
	h := newHome(t)
	p := open(t, in, h, "/settings")
	p.click("#f-notifications")
	p.click("#f-autostart")
	p.send("button.main")
	p.reads("The settings are saved.")
	if text, err := os.ReadFile(h.path(".config", "sharetray", "settings.toml")); err != nil || string(text) != "notifications = false\n" {
		t.Errorf("%q, %v", text, err)
	}
	if got := h.types("autostart", "status"); !strings.HasPrefix(got, "on, by ") {
		t.Error(got)
	}
	p.do(chromedp.Evaluate(`document.querySelector("details").open = true`, nil))
	p.fill("#f-logs_keep", "9999")
	p.send("button.main")
	p.await("document.querySelector('.wrong [name=\"logs.keep\"]')")
	p.fill("#f-logs_keep", "7")
	p.send("button.main")
	p.reads("The settings are saved.")
	if text, err := os.ReadFile(h.path(".config", "sharetray", "settings.toml")); err != nil || !strings.Contains(string(text), "logs.keep = 7") {
		t.Errorf("%q, %v", text, err)
	}
	p.fill("#f-language", "zh-CN")
	p.send("button.main")
	p.await("document.documentElement.lang == 'zh-CN'")
	p.reads("设置")
	p.clean("400")
}

// keyboardOnly: a share is paused and resumed by keys, and the focus stays.
func keyboardOnly(t *testing.T, in context.Context) {
	h := newHome(t)
	h.types("share", "web", h.folder("Keyboard"))
	p := open(t, in, h, "/")
	p.reads("all well")
	focused := func(js string) bool { return eval[bool](p, "Boolean(document.activeElement"+js+")") }
	for n := 0; !focused("?.formAction?.endsWith('/stop')"); n++ {
		if n > 30 {
			t.Fatal("the button is not reached by keys")
		}
		p.do(chromedp.KeyEvent(kb.Tab))
	}
	if !eval[bool](p, "getComputedStyle(document.activeElement).outlineStyle != 'none'") {
		t.Error("nobody sees where the focus is")
	}
	p.do(chromedp.KeyEvent(kb.Enter))
	p.reads("Keyboard is paused")
	// What changes under the focus keeps it.
	p.do(chromedp.Evaluate(`document.querySelector("[data-focus=toggle]").focus()`, nil))
	h.types("start", "Keyboard")
	p.await("document.querySelector('.share.well')")
	p.await("document.activeElement?.formAction?.endsWith('/stop')")
	p.clean()
}

// withoutScript: the same by forms alone.
func withoutScript(t *testing.T, in context.Context) {
	h := newHome(t)
	dir := h.folder("Plain")
	p := open(t, in, h, "/add/web", emulation.SetScriptExecutionDisabled(true))
	p.fill("#f-target", dir)
	p.send("button.main")
	p.reads("Plain is shared.")
	p.send("button[formaction$='/stop']")
	p.reads("Plain is paused.")
	p.visit("/shares/Plain")
	p.click("details.remove summary")
	p.send("button.danger")
	p.reads("Plain was removed.")
	p.send("form[action^='/undo/'] button")
	p.reads("Plain is back.")
	p.clean()
}

// agentKilled: the page says so, and comes back by itself, at its address.
func agentKilled(t *testing.T, in context.Context) {
	h := newHome(t)
	h.types("share", "web", h.folder("Kept"))
	p := open(t, in, h, "/")
	p.reads("1 share, all well")
	p.await("document.querySelector('#away').hidden")
	p.do(chromedp.Evaluate(`window.said = false; new MutationObserver(() => { if (!document.querySelector("#away").hidden) window.said = true })
		.observe(document.querySelector("#away"), { attributes: true })`, nil))
	info, err := h.client.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.kill(info.PID)
	p.await("window.said")
	p.await("document.querySelector('#away').hidden")
	h.types("share", "web", h.folder("More"))
	p.reads("2 shares, all well") // live, without a reload
	if !eval[bool](p, "window.said") {
		t.Error("the page was loaded anew")
	}
	p.clean("Failed to load resource", "net::ERR")
}

// hostileTexts: names, targets, log lines and what visitors say of themselves are
// only text.
func hostileTexts(t *testing.T, in context.Context) {
	h := newHome(t)
	const evil = `<img src=x onerror=window.ran=1>`
	dir := h.folder(evil)
	names := []string{"$(reboot)", `a&b';alert(1)`, "صور 🎉", strings.Repeat("x", 200)}
	for _, n := range names {
		h.types("share", "web", dir, "--name", n)
	}
	link := h.get(names[0]).URLs[0]
	r, err := http.NewRequest(http.MethodGet, link+"%3Cscript%3Ewindow.ran=1%3C/script%3E", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("User-Agent", evil)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	p := open(t, in, h, "/")
	p.reads("4 shares, all well", evil, names[0], names[1])
	for _, n := range names {
		p.visit("/")
		p.do(chromedp.Evaluate(`[...document.querySelectorAll(".share h2 a")].find((a) => decodeURIComponent(a.getAttribute("href")) == `+fmt.Sprintf("%q", "/shares/"+n)+`).click()`, nil))
		p.await("document.querySelector('#now')")
		p.reads(evil)
		for _, part := range []string{"/log", "/edit", "/qr"} {
			here := eval[string](p, "location.pathname")
			p.visit(here + part)
			p.visit(here)
		}
	}
	p.do(chromedp.Navigate(p.base + "/shares/$(reboot)"))
	p.reads(evil, "<script>window.ran=1</script>")
	if eval[bool](p, "Boolean(window.ran)") {
		t.Error("something ran")
	}
	p.clean()
}

// forEverybody: nothing serious keeps anybody from any page, in both themes, nor on
// a phone.
func forEverybody(t *testing.T, in context.Context) {
	h := newHome(t)
	h.types("share", "web", h.folder("Pictures", "cat.txt"))
	h.types("share", "proxy", "1", "--name", "a web app with a long name of many words that goes on")
	h.types("share", "web", h.folder("Paused"), "--name", "Paused")
	h.types("stop", "Paused")
	if _, err := fetch(h.get("Pictures").URLs[0]); err != nil {
		t.Fatal(err)
	}
	p := open(t, in, h, "/")
	pages := []string{"/", "/shares/Pictures", "/shares/Pictures/qr", "/shares/Pictures/log", "/shares/Pictures/edit", "/add", "/add/web", "/add/command", "/settings", "/nothing"}
	for _, theme := range []string{"light", "dark"} {
		p.theme(theme)
		for _, path := range pages {
			p.visit(path)
			p.do(chromedp.Evaluate(`for (const d of document.querySelectorAll("details")) d.open = true`, nil))
			for _, f := range p.axe() {
				t.Errorf("%s, %s: %s", path, theme, f)
			}
		}
	}
	p.do(chromedp.EmulateViewport(360, 740))
	for _, path := range pages {
		p.visit(path)
		p.do(chromedp.Evaluate(`for (const d of document.querySelectorAll("details")) d.open = true`, nil))
		if w := eval[int](p, "document.documentElement.scrollWidth"); w > 360 {
			t.Errorf("%s is %d wide on a phone of 360", path, w)
		}
	}
	p.clean("404")
}

// outOfSight: a page that nobody looks at holds no connection, of which browsers have
// six for all pages of one address, and is right again once it is looked at.
func outOfSight(t *testing.T, in context.Context) {
	h := newHome(t)
	h.types("share", "web", h.folder("Sight"))
	p := open(t, in, h, "/")
	p.reads("1 share, all well")
	look := func(hidden bool) {
		t.Helper()
		p.do(chromedp.Evaluate(fmt.Sprintf(`window.out = %t; document.dispatchEvent(new Event("visibilitychange"))`, hidden), nil))
	}
	p.do(chromedp.Evaluate(`Object.defineProperty(document, "hidden", { get: () => window.out }); 0`, nil))
	look(true)
	h.types("stop", "Sight")
	if !strings.Contains(p.text(), "1 share, all well") {
		t.Error("a page that is out of sight is kept live")
	}
	look(false)
	p.reads("Sight is paused")
	p.await("document.querySelector('#away').hidden")
	p.clean()
}

// uploadPage: a visitor's browser adds files on a share's own page, also while the
// share's process dies.
func uploadPage(t *testing.T, in context.Context) {
	h := newHome(t)
	inbox := h.folder("Inbox")
	h.types("share", "web", inbox, "--upload")
	big := strings.Repeat("0123456789abcdef", 4<<20) // 64 MiB: eight pieces
	files := h.folder("Sent", "note.txt")
	if err := os.WriteFile(filepath.Join(files, "big.bin"), []byte(big), 0o600); err != nil {
		t.Fatal(err)
	}
	p := open(t, in, h, "/")
	p.do(chromedp.Navigate(h.get("Inbox").URLs[0]))
	p.reads("Add files")
	p.do(chromedp.SetUploadFiles("#files", []string{filepath.Join(files, "note.txt"), filepath.Join(files, "big.bin")}, chromedp.ByQuery))
	h.kill(h.get("Inbox").PID)
	p.reads("Added as note.txt.", "Added as big.bin.")
	for name, want := range map[string]string{"note.txt": "note.txt", "big.bin": big} {
		if got, err := os.ReadFile(filepath.Join(inbox, name)); err != nil || string(got) != want {
			t.Errorf("%s has %d bytes, %v", name, len(got), err)
		}
	}
	p.clean("Failed to load resource", "net::ERR")
}

// visitorsPage: who came is told on the share's page, with plots.
func visitorsPage(t *testing.T, in context.Context) {
	h := newHome(t)
	h.types("share", "web", h.folder("Pictures", "cat.txt"))
	p := open(t, in, h, "/shares/Pictures")
	p.reads("Nobody has visited it yet.")
	for range 5 {
		if _, err := fetch(h.get("Pictures").URLs[0] + "cat.txt"); err != nil {
			t.Fatal(err)
		}
	}
	p.reads("127.0.0.1", "/cat.txt", "Go-http-client")
	p.await("document.querySelector('.use b').innerText == '5'")
	p.await("document.querySelector('.plot path').getAttribute('d').startsWith('M')")
	p.clean()
}

// manyShares: the list of 500 shares opens and scrolls, and is small enough.
func manyShares(t *testing.T, in context.Context) {
	h := newHome(t)
	dir := h.folder("Pictures")
	shares := h.path(".config", "sharetray", "shares")
	if err := os.MkdirAll(shares, 0o700); err != nil {
		t.Fatal(err)
	}
	for n := range 500 {
		text := fmt.Sprintf("version = 1\nkind = \"web\"\ntarget = %q\nport = %d\npaused = true\n", dir, 12000+n)
		if err := os.WriteFile(filepath.Join(shares, fmt.Sprintf("share %03d.toml", n)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := open(t, in, h, "/")
	p.reads("All 500 shares are paused")
	var paints []float64
	for range 5 {
		p.visit("/")
		p.await("performance.getEntriesByType('paint').length > 0")
		paints = append(paints, eval[float64](p, "performance.getEntriesByName('first-contentful-paint')[0].startTime"))
	}
	slices.Sort(paints)
	size := eval[int](p, `[...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource").filter((r) => !r.name.includes("/live"))].reduce((n, r) => n + r.decodedBodySize, 0)`)
	t.Logf("500 shares: first paint after %.0f ms (median of 5), %d KB in all", paints[2], size/1000)
	if paints[2] > 1500 {
		t.Errorf("first paint after %.0f ms", paints[2])
	}
	p.do(chromedp.Evaluate(`window.worst = 0; new PerformanceObserver((l) => { for (const e of l.getEntries()) window.worst = Math.max(window.worst, e.duration) }).observe({ type: "longtask" })`, nil))
	var frames int
	p.do(chromedp.Evaluate(`new Promise((done) => { let n = 0; const step = () => { scrollBy(0, 400); if (++n < 120) requestAnimationFrame(step); else done(n) }; step() })`, &frames, awaitPromise))
	t.Logf("while scrolling, the longest task took %.0f ms", eval[float64](p, "window.worst"))
	if worst := eval[float64](p, "window.worst"); worst > 500 {
		t.Errorf("a task took %.0f ms while scrolling", worst)
	}
	h.types("remove", "share 250")
	p.await("document.querySelectorAll('.share').length == 499")
	p.clean()

	// The usual page is small.
	few := newHome(t)
	for n := range 50 {
		few.types("share", "web", few.folder("Pictures"), "--name", fmt.Sprint("share ", n))
		few.types("stop", fmt.Sprint("share ", n))
	}
	p = open(t, in, few, "/")
	p.await("performance.getEntriesByType('paint').length > 0")
	size = eval[int](p, `[...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource").filter((r) => !r.name.includes("/live"))].reduce((n, r) => n + r.decodedBodySize, 0)`)
	t.Logf("50 shares: first paint after %.0f ms, %d KB in all", eval[float64](p, "performance.getEntriesByName('first-contentful-paint')[0].startTime"), size/1000)
	if size > 150_000 {
		t.Errorf("the page takes %d bytes", size)
	}
}

// soon is long enough for a picture to be complete.
const soon = 300 * time.Millisecond

// TestPictures takes the pictures of the documentation, if they are wanted.
func TestPictures(t *testing.T) {
	if os.Getenv(picturesVar) == "" {
		t.Skip("no pictures are wanted: make screenshots takes them")
	}
	h := newHome(t)
	h.types("share", "web", h.folder("Holiday pictures", "beach.jpg", "hills.jpg"))
	h.types("share", "proxy", app(t), "--name", "My new shop")
	h.types("share", "drive", h.folder("Team drive"))
	h.types("share", "proxy", "9", "--name", "Prototype")
	link := h.get("Holiday pictures").URLs[0]
	p := open(t, startBrowser(t), h, "/")
	p.do(chromedp.EmulateViewport(900, 660))
	for n := range 12 {
		if _, err := fetch(link + []string{"", "beach.jpg", "hills.jpg"}[n%3]); err != nil {
			t.Fatal(err)
		}
	}
	for _, theme := range []string{"light", "dark"} {
		p.theme(theme)
		p.visit("/")
		p.reads("Nothing listens at")
		time.Sleep(soon)
		p.screen("dashboard-" + theme)
	}
	h.kill(h.get("Holiday pictures").PID)
	p.theme("light")
	p.visit("/shares/Holiday pictures")
	p.reads("is back")
	for range 5 {
		if _, err := fetch(link + "beach.jpg"); err != nil {
			t.Fatal(err)
		}
	}
	p.reads("/beach.jpg")
	time.Sleep(soon)
	p.do(chromedp.EmulateViewport(900, 900))
	p.screen("share")
	p.do(chromedp.EmulateViewport(420, 760))
	p.visit("/shares/Holiday pictures/qr")
	time.Sleep(soon)
	p.screen("phone")
}
