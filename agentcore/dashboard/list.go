package dashboard

import (
	"html/template"
	"net/http"
	"reflect"
	"strings"

	"sharetray/agentcore"
	"sharetray/agentcore/notice"
)

// listBody is the page of all shares.
type listBody struct {
	Summary, Rows template.HTML
}

func (d *Dashboard) list(w http.ResponseWriter, r *http.Request) {
	t := text{d.language(r)}
	all := d.agent.List()
	d.write(w, r, http.StatusOK, "list.html", view{
		Title: t.T("page.shares"), Nav: "shares", Live: "all",
		Body: listBody{summaryPiece(t, all).HTML, rowsPiece(t, all).HTML},
	})
}

// listPieces are those of the list that may differ from what was sent.
func (d *Dashboard) listPieces(t text, sent *sent) []piece {
	all := d.agent.List()
	pieces := []piece{summaryPiece(t, all)}
	var names strings.Builder
	for _, st := range all {
		names.WriteString(st.Name + "\x00")
	}
	if sent.names != names.String() { // one has come or gone
		sent.names = names.String()
		clear(sent.statuses)
		for _, st := range all {
			sent.statuses[st.Name] = st
		}
		return append(pieces, rowsPiece(t, all))
	}
	for _, st := range all {
		if !reflect.DeepEqual(sent.statuses[st.Name], st) {
			sent.statuses[st.Name] = st
			pieces = append(pieces, rowPiece(t, st))
		}
	}
	return pieces
}

func summaryPiece(t text, all []agentcore.Status) piece {
	return render("summary", "summary", struct {
		text
		Mood, Summary string
	}{t, string(notice.Worst(all)), notice.Summary(t.L, all)})
}

func rowsPiece(t text, all []agentcore.Status) piece {
	rows := make([]template.HTML, len(all))
	for i, st := range all {
		rows[i] = rowPiece(t, st).HTML
	}
	return render("shares", "rows", struct {
		text
		Rows []template.HTML
	}{t, rows})
}

func rowPiece(t text, st agentcore.Status) piece { return render(idOf(st.Name), "row", card{t, st}) }
