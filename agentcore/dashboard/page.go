package dashboard

import (
	"bytes"
	"cmp"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"sharetray/agentcore"
	"sharetray/agentcore/notice"
	"sharetray/agentcore/problem"
	"sharetray/agentcore/share"
	"sharetray/agentcore/share/schema"
	"sharetray/agentcore/words"
	"sharetray/assets/dashboard"
)

var templates = template.Must(template.New("").ParseFS(dashboard.Templates, "*.html"))

// text is what every template can say. It is embedded in what they are given.
type text struct{ L *words.Language }

// T is a text of the catalogue.
func (t text) T(key string, args ...any) string { return t.L.Say(key, args...) }

// N is a text for a number of things.
func (t text) N(key string, n any, args ...any) string {
	switch n := n.(type) {
	case uint64:
		return t.L.Count(key, int(n), args...)
	case int:
		return t.L.Count(key, n, args...)
	}
	return key
}

// Sentence is what the agent has said, in the page's language.
func (t text) Sentence(s string) string { return notice.Sentence(t.L, s) }

// Bytes is an amount of data in few digits.
func (text) Bytes(n uint64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f, units := float64(n)/1000, "kMGTPE"
	for f >= 999.5 && len(units) > 1 {
		f, units = f/1000, units[1:]
	}
	return fmt.Sprintf("%.3g %cB", f, units[0])
}

// Clock is when something was, for the machine; script makes "3 minutes ago" of it.
func (text) Clock(t time.Time) string { return t.Format(time.RFC3339) }

// When is when something was, in digits.
func (text) When(t time.Time) string {
	if time.Since(t) < 20*time.Hour {
		return t.Format(time.TimeOnly)
	}
	return t.Format("2006-01-02 15:04")
}

// view is a page as its template sees it.
type view struct {
	text
	Title   string
	Nav     string // which of the main pages it belongs to
	Path    string
	Agent   agentcore.Info
	Said    *said
	Live    string // what is kept live: the query of /live
	Body    any
	Refused bool // it is for somebody who may see nothing else
}

// said is what came of the last click.
type said struct {
	Text string
	Bad  bool
	Undo string // the id of what can be undone
}

// write answers with a page made of the template of that name.
func (d *Dashboard) write(w http.ResponseWriter, r *http.Request, status int, name string, v view) {
	v.L, v.Path = d.language(r), r.URL.Path
	if !v.Refused {
		v.Agent = d.agent.Info()
	}
	if v.Said == nil {
		v.Said = d.said(r, v.L)
	}
	w.Header().Set("Vary", "Accept-Language")
	var page bytes.Buffer
	if err := templates.ExecuteTemplate(&page, name, v); err != nil {
		slog.Error("a page could not be made", "page", name, "error", err)
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w)
}

// wrong answers with a page that says what is wrong.
func (d *Dashboard) wrong(w http.ResponseWriter, r *http.Request, status int, sentence string) {
	l := d.language(r)
	if strings.HasPrefix(r.URL.Path, "/live") || strings.HasSuffix(r.URL.Path, "/live") {
		http.Error(w, sentence, status)
		return
	}
	d.write(w, r, status, "wrong.html", view{Title: l.Say("page.wrong"), Body: sentence,
		Refused: status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusMisdirectedRequest})
}

// failed answers with what an action of the agent came to.
func (d *Dashboard) failed(w http.ResponseWriter, r *http.Request, err error) {
	status := map[problem.Code]int{
		problem.Invalid: http.StatusBadRequest, problem.NotFound: http.StatusNotFound, problem.Unavailable: http.StatusServiceUnavailable,
	}[problem.CodeOf(err)]
	d.wrong(w, r, cmp.Or(status, http.StatusConflict), notice.Sentence(d.language(r), problem.Sentence(err)))
}

// saids are what can be said after a click, by the query of the page that it leads to.
var saids = map[string]string{
	"added": "page.said_added", "saved": "page.said_saved", "started": "page.said_started", "stopped": "page.said_stopped",
	"restarted": "page.said_restarted", "removed": "page.said_removed", "restored": "page.said_restored",
	"settings": "page.said_settings", "lan": "page.said_lan", "upgrading": "page.said_upgrading",
}

func (d *Dashboard) said(r *http.Request, l *words.Language) *said {
	q := r.URL.Query()
	key, ok := saids[q.Get("said")]
	if !ok {
		return nil
	}
	s := &said{Text: l.Say(key, notice.Name(q.Get("name")))}
	if id := q.Get("undo"); d.undo.has(id) {
		s.Undo = id
	}
	return s
}

// back leads the browser to a page that says what was done.
func back(w http.ResponseWriter, r *http.Request, path, what, name string, more ...string) {
	q := url.Values{"said": {what}, "name": {name}}
	for i := 0; i+1 < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	http.Redirect(w, r, path+"?"+q.Encode(), http.StatusSeeOther)
}

// sharePath is the path of a share's page.
func sharePath(name string) string { return "/shares/" + url.PathEscape(name) }

// card is a share as templates see it.
type card struct {
	text
	agentcore.Status
}

// ID is an HTML id of its own for each name.
func (c card) ID() string { return idOf(c.Name) }

// Label is its name as people are shown it.
func (c card) Label() string { return notice.Name(c.Name) }

// Page is the path of its page.
func (c card) Page() string { return sharePath(c.Name) }

// State says how it is.
func (c card) StateText() string { return notice.State(c.L, c.Status) }

// Mood is the class of its colours.
func (c card) Mood() string { return string(notice.MoodOf(c.Status)) }

// Problem is what is wrong, if anything is.
func (c card) Problem() string {
	if c.LastError == "" {
		return ""
	}
	return c.Sentence(c.LastError)
}

// Advice is what to do about it.
func (c card) Advice() string { return notice.Advice(c.L, c.Status) }

// KindText names its kind.
func (c card) KindText() string {
	if c.Kind == "" {
		return ""
	}
	return c.T("kind." + string(c.Kind))
}

// Link is the best one, or "".
func (c card) Link() string {
	if len(c.URLs) == 0 {
		return ""
	}
	return c.URLs[0]
}

// Opens reports whether a browser can open its link.
func (c card) Opens() bool {
	return strings.HasPrefix(c.Link(), "http://") || strings.HasPrefix(c.Link(), "https://")
}

// CanStart, CanStop and CanRestart say which clicks make sense.
func (c card) CanStart() bool   { return notice.CanStart(c.Status) }
func (c card) CanStop() bool    { return notice.CanStop(c.Status) }
func (c card) CanRestart() bool { return c.CanStop() && c.State != "backoff" }

// Known reports whether its file can be used.
func (c card) Known() bool { return c.Kind != "" && c.State != "invalid" }

// ReachText says from where it can be reached.
func (c card) ReachText() string {
	if c.Reach == "" {
		return ""
	}
	return c.T("choice.reach_" + string(c.Reach))
}

// EndText is when it ends.
func (c card) EndText() string {
	if c.Expires == nil {
		return ""
	}
	return schema.FormatMoment(share.Moment(c.Expires.Unix()))
}

// Now is how many visitors there are.
func (c card) Now() int { return c.Present }

// CrashText tells of a share that crashes again and again.
func (c card) CrashText() string {
	if c.Crashes < 2 {
		return ""
	}
	return c.L.Count("page.crashes", c.Crashes)
}
