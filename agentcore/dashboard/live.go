package dashboard

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"html/template"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"sharetray/agentcore"
)

const (
	liveInterval = 150 * time.Millisecond // between two looks of a page that is open
	liveBeat     = 5 * time.Second        // between signs of life, by which plots move on
	liveTimeout  = 10 * time.Second       // for a browser to take what it is sent
)

// piece is a part of a page that is replaced when it changes: an element with that
// id. Its attribute data-v tells whether the browser has it already.
type piece struct {
	ID   string        `json:"id"`
	HTML template.HTML `json:"html"`
	// Version is a hash of HTML; "" is for a piece that is no more.
	Version string `json:"v"`
}

// render makes a piece of the template of that name, which has data-v="" in its
// outermost element.
func render(id, name string, data any) piece {
	var out bytes.Buffer
	if err := templates.ExecuteTemplate(&out, name, data); err != nil {
		panic(err) // a template of this program does not fit its data; tests show each
	}
	h := fnv.New64a()
	_, _ = h.Write(out.Bytes()) // can't fail
	v := fmt.Sprintf("%x", h.Sum64())
	return piece{ID: id, Version: v, HTML: template.HTML(strings.Replace(out.String(), `data-v=""`, `data-v="`+v+`"`, 1))}
}

// idOf is an id of HTML that stands for a share's name, whatever is in it.
func idOf(name string) string {
	h := fnv.New64a()
	_, _ = io.WriteString(h, name)
	return fmt.Sprintf("s%x", h.Sum64())
}

// broadcast wakes whoever waits for a change. Nobody is waited for.
type broadcast struct {
	mu      sync.Mutex
	readers map[chan struct{}]string
}

func newBroadcast() *broadcast { return &broadcast{readers: map[chan struct{}]string{}} }

// tell wakes those that follow all shares, or that of this name; "" wakes all.
func (b *broadcast) tell(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for ch, of := range b.readers {
		if of == "" || name == "" || of == name {
			select {
			case ch <- struct{}{}:
			default: // it is awake
			}
		}
	}
}

func (b *broadcast) listen(name string) (changes <-chan struct{}, cancel func()) {
	ch := make(chan struct{}, 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.readers[ch] = name
	return ch, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.readers, ch)
	}
}

// live keeps a page that is open as things are: server-sent events, each with
// pieces that differ from what was sent before.
func (d *Dashboard) live(w http.ResponseWriter, r *http.Request) {
	t := text{d.language(r)}
	name := r.FormValue("share")
	pieces := d.listPieces
	if name != "" {
		pieces = func(t text, sent *sent) []piece { return d.sharePieces(r.Context(), t, name, sent) }
	}
	if r.FormValue("phone") != "" {
		pieces = func(t text, _ *sent) []piece { return d.phonePieces(r.Context(), t, name) }
	}
	changes, cancel := d.changed.listen(name)
	defer cancel()
	out := &events{w: w, rc: http.NewResponseController(w)}
	out.begin()
	beat := time.NewTicker(liveBeat)
	defer beat.Stop()
	if out.send("hello", d.agent.Info().Version) != nil {
		return
	}
	seen := &sent{versions: map[string]string{}, statuses: map[string]agentcore.Status{}}
	for {
		var fresh []piece
		for _, p := range pieces(t, seen) {
			if p.Version == "" || seen.versions[p.ID] != p.Version {
				fresh = append(fresh, p)
				seen.versions[p.ID] = p.Version
			}
		}
		var err error
		if len(fresh) > 0 {
			err = out.send("pieces", fresh)
		}
		if err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-changes:
			select { // what happens in quick succession is sent together
			case <-r.Context().Done():
				return
			case <-time.After(liveInterval):
			}
		case <-beat.C:
			if out.send("beat", nil) != nil {
				return
			}
		}
	}
}

// sent is what a page that is open has.
type sent struct {
	versions map[string]string
	statuses map[string]agentcore.Status // so that what has not changed is not made anew
	names    string
}

// events writes server-sent events, and gives up on a browser that does not take
// them.
type events struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

func (e *events) begin() {
	e.w.Header().Set("Content-Type", "text/event-stream")
	e.w.WriteHeader(http.StatusOK)
	_, _ = io.WriteString(e.w, "retry: 1000\n\n")
}

func (e *events) send(event string, data any) error {
	b, err := json.Marshal(data) // which has no line breaks
	if err != nil {
		return err
	}
	_ = e.rc.SetWriteDeadline(time.Now().Add(liveTimeout))
	if _, err := fmt.Fprintf(e.w, "event: %s\ndata: %s\n\n", event, b); err != nil {
		return err
	}
	return e.rc.Flush()
}
