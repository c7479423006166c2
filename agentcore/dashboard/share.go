package dashboard

import (
	"context"
	"html/template"
	"net/http"
	"time"

	"sharetray/agentcore"
	"sharetray/agentcore/history"
	"sharetray/agentcore/link"
	"sharetray/agentcore/notice"
)

const shownHistory = 20 // entries of a share's page

// shareBody is the page of one share.
type shareBody struct {
	card
	Now, Use, Visitors, Past template.HTML
}

func (d *Dashboard) share(w http.ResponseWriter, r *http.Request) {
	st, err := d.agent.Look(r.Context(), r.PathValue("name"))
	if err != nil {
		d.failed(w, r, err)
		return
	}
	t := text{d.language(r)}
	c := card{t, st}
	d.write(w, r, http.StatusOK, "share.html", view{
		Title: c.Label(), Nav: "shares", Live: "share=" + template.URLQueryEscaper(st.Name),
		Body: shareBody{c, nowPiece(c).HTML, d.usePiece(c).HTML, visitorsPiece(c).HTML, d.pastPiece(c).HTML},
	})
}

// sharePieces are those of a share's page. One that is no more has none, but the
// word that it was removed.
func (d *Dashboard) sharePieces(ctx context.Context, t text, name string, _ *sent) []piece {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	st, err := d.agent.Look(ctx, name)
	if err != nil {
		return []piece{render("now", "gone", struct{ text }{t})}
	}
	c := card{t, st}
	return []piece{nowPiece(c), d.usePiece(c), visitorsPiece(c), d.pastPiece(c)}
}

func nowPiece(c card) piece {
	c.Visitors, c.Use = nil, link.Use{} // they have pieces of their own
	return render("now", "now", c)
}

func (d *Dashboard) usePiece(c card) piece {
	requests, bytes := d.samples.recent(c.Name, time.Now())
	return render("use", "use", struct {
		card
		RequestPlot, BytePlot template.HTML
	}{c, plot(requests, c.T("page.plot_requests")), plot(bytes, c.T("page.plot_bytes"))})
}

func visitorsPiece(c card) piece { return render("visitors", "visitors", c) }

// pastLine is one line of a share's history.
type pastLine struct {
	text
	history.Entry
}

// What says what happened.
func (p pastLine) WhatText() string { return p.T("history." + string(p.What)) }

// Why says the cause, and for how long the share was away.
func (p pastLine) Why() string {
	why := ""
	if p.Cause != "" && p.What != history.Recovered { // whose crash has said it
		why = p.Sentence(p.Cause)
	}
	if p.Downtime > 0 {
		if why != "" {
			why += " "
		}
		why += p.Sentence(p.T("page.was_away", notice.Away(p.L, p.Downtime)))
	}
	return why
}

func (d *Dashboard) pastPiece(c card) piece {
	entries, _ := d.agent.History(c.Name, shownHistory) // what can't be read is left out
	lines := make([]pastLine, 0, len(entries))
	for i := len(entries) - 1; i >= 0; i-- {
		lines = append(lines, pastLine{c.text, entries[i]})
	}
	return render("past", "past", struct {
		text
		Lines []pastLine
	}{c.text, lines})
}

// act does what a click asks for, and leads back to where it was made.
func (d *Dashboard) act(w http.ResponseWriter, r *http.Request, action string) {
	name := r.PathValue("name")
	do, did := map[string]func(context.Context, string) (agentcore.Status, error){
		"start": d.agent.Start, "stop": d.agent.Stop, "restart": d.agent.Restart,
	}[action], map[string]string{"start": "started", "stop": "stopped", "restart": "restarted"}[action]
	ctx := r.Context()
	if action == "stop" {
		ctx = d.life // it goes on when the page is closed
	}
	if _, err := do(ctx, name); err != nil {
		d.failed(w, r, err)
		return
	}
	back(w, r, localPath(r.FormValue("from")), did, name)
}

func (d *Dashboard) remove(w http.ResponseWriter, r *http.Request) {
	removed, err := d.agent.Discard(d.life, r.PathValue("name"))
	if err != nil {
		d.failed(w, r, err)
		return
	}
	back(w, r, "/", "removed", removed.Name, "undo", d.undo.keep(removed))
}

func (d *Dashboard) restore(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	what, ok := d.undo.find(id)
	if !ok {
		d.wrong(w, r, http.StatusGone, d.language(r).Say("page.undo_over"))
		return
	}
	_, err := d.agent.Restore(r.Context(), what)
	if _, there := d.agent.Get(what.Name); err != nil && there != nil {
		d.failed(w, r, err)
		return
	}
	d.undo.done(id)
	if err != nil { // it is back, and not well, as its page tells
		back(w, r, sharePath(what.Name), "restored", what.Name)
		return
	}
	back(w, r, "/", "restored", what.Name)
}

func (d *Dashboard) upgrade(w http.ResponseWriter, r *http.Request) {
	if _, err := d.agent.Upgrade(""); err != nil {
		d.failed(w, r, err)
		return
	}
	back(w, r, "/", "upgrading", "")
}
