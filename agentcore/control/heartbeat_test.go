package control

import (
	"bufio"
	"net/http/httptest"
	"testing"
	"time"

	"sharetray/agentcore"
)

// quiet is an agent in which nothing happens.
type quiet struct{ Agent }

func (quiet) Subscribe() ([]agentcore.Status, <-chan agentcore.Event, func()) {
	return nil, make(chan agentcore.Event), func() {}
}

func (quiet) Leaving() bool { return false }

func (quiet) Quitting() <-chan struct{} { return nil }

func TestSignsOfLife(t *testing.T) {
	t.Parallel()
	s := &server{agent: quiet{}, life: t.Context(), heartbeat: time.Millisecond}
	srv := httptest.NewServer(s.routes())
	defer srv.Close()
	resp, err := srv.Client().Get(srv.URL + "/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	sc := bufio.NewScanner(resp.Body)
	for _, want := range []string{`{"snapshot":[]}`, `{}`, `{}`} {
		if !sc.Scan() || sc.Text() != want {
			t.Fatalf("%q, want %q (%v)", sc.Text(), want, sc.Err())
		}
	}
}
