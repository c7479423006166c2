package control

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"time"

	"sharetray/agentcore"
)

// silence is how long an agent may be quiet before it counts as gone.
const silence = 4 * heartbeat

// Watch returns every share as it is now and what happens from then on. The
// channel is closed when ctx ends or the agent has. After an interruption, and
// when another agent has taken over, what was missed comes as Changed and Removed
// events.
func (c *Client) Watch(ctx context.Context) (now []agentcore.Status, events <-chan agentcore.Event, err error) {
	f, err := c.openFeed(ctx)
	if err != nil {
		return nil, nil, err
	}
	now, err = f.snapshot()
	if err != nil {
		f.close()
		return nil, nil, goneError(ctx, err)
	}
	out := make(chan agentcore.Event)
	w := &watch{client: c, out: out, known: map[string]agentcore.Status{}}
	for _, st := range now {
		w.known[st.Name] = st
	}
	go func() {
		defer close(out)
		w.run(ctx, f)
	}()
	return now, out, nil
}

// watch turns feeds into one series of events.
type watch struct {
	client *Client
	out    chan<- agentcore.Event
	known  map[string]agentcore.Status
}

func (w *watch) run(ctx context.Context, f *feed) {
	quiet := 0
	for {
		heard := w.read(ctx, f)
		f.close()
		if quiet++; heard {
			quiet = 0
		}
		if quiet == 2 { // two breaks with nothing between them: it is on its way out
			return
		}
		var err error
		if f, err = w.client.openFeed(ctx); err != nil {
			return
		}
	}
}

// read passes events on until the feed ends, and reports whether there were any.
func (w *watch) read(ctx context.Context, f *feed) (heard bool) {
	for {
		l, err := f.next()
		if err != nil {
			return heard
		}
		var news []agentcore.Event
		switch {
		case l.Event != nil:
			heard = true
			news = append(news, *l.Event)
		case l.Snapshot != nil:
			news = w.missed(l.Snapshot)
		}
		for _, e := range news {
			if e.Type == agentcore.Removed {
				delete(w.known, e.Share.Name)
			} else {
				w.known[e.Share.Name] = e.Share
			}
			select {
			case w.out <- e:
			case <-ctx.Done():
				return false
			}
		}
	}
}

// missed makes events of the differences between what is known and now.
func (w *watch) missed(now []agentcore.Status) (news []agentcore.Event) {
	there := map[string]bool{}
	at := time.Now()
	for _, st := range now {
		there[st.Name] = true
		if old, ok := w.known[st.Name]; !ok || !sameStatus(old, st) {
			news = append(news, agentcore.Event{Type: agentcore.Changed, Time: at, Share: st})
		}
	}
	for name, st := range w.known {
		if !there[name] {
			news = append(news, agentcore.Event{Type: agentcore.Removed, Time: at, Share: st})
		}
	}
	return news
}

func sameStatus(a, b agentcore.Status) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && slices.Equal(x, y)
}

// feed is one answer of /v1/events. It ends itself when the agent is silent.
type feed struct {
	body   io.ReadCloser
	dec    *json.Decoder
	cancel context.CancelFunc
	quiet  *time.Timer
}

func (c *Client) openFeed(ctx context.Context) (*feed, error) {
	ctx, cancel := context.WithCancel(ctx)
	quiet := time.AfterFunc(silence, cancel)
	resp, err := c.do(ctx, http.MethodGet, "/v1/events", nil)
	if err != nil {
		quiet.Stop()
		cancel()
		return nil, err
	}
	return &feed{resp.Body, json.NewDecoder(resp.Body), cancel, quiet}, nil
}

func (f *feed) next() (l line, err error) {
	err = f.dec.Decode(&l)
	f.quiet.Reset(silence)
	return l, err
}

func (f *feed) snapshot() ([]agentcore.Status, error) {
	l, err := f.next()
	if err == nil && l.Snapshot == nil {
		err = io.ErrUnexpectedEOF
	}
	return l.Snapshot, err
}

func (f *feed) close() {
	f.quiet.Stop()
	f.cancel()
	f.body.Close()
}
