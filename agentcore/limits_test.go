package agentcore_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"sharetray/agentcore"
	"sharetray/agentcore/history"
	"sharetray/agentcore/supervise"
)

// TestFullIsNotDead: a share whose every connection is in use can't be asked at
// its address, which is no reason to replace its process, before a crash or
// after.
func TestFullIsNotDead(t *testing.T) {
	t.Parallel()
	r := newRig(t, strings.Replace(quickSettings, `probe_timeout = "5s"`, `probe_timeout = "2s"`, 1))
	st := r.share("photos", r.folder("hello"), "connections", "1")
	addr := strings.TrimSuffix(strings.TrimPrefix(st.URLs[0], "http://"), "/")
	occupy := func() net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := fmt.Fprintf(conn, "GET /a.txt HTTP/1.1\r\nHost: %s\r\nContent-Length: 9\r\n\r\n", addr); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	full := func(st agentcore.Status) bool {
		return st.State == supervise.Unhealthy && st.Trouble == supervise.LimitTrouble && strings.Contains(st.LastError, "its one connection is in use")
	}
	first := occupy() // its body never comes
	waiting := occupy()
	r.until("photos", "full", full)
	kill(t, st.PID)
	after := r.until("photos", "full again", func(now agentcore.Status) bool { return full(now) && now.PID != st.PID })
	if after.Restarts != 1 {
		t.Errorf("%d restarts", after.Restarts)
	}
	first.Close()
	// Whoever waited is served as soon as there is room.
	third := occupy()
	waiting.Close()
	if _, err := fmt.Fprint(third, "123456789"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(third), nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%v, %v", resp, err)
	}
	third.Close()
	r.untilState("photos", supervise.Ready)
	past, err := r.History("photos", 20)
	if err != nil || !slices.ContainsFunc(past, func(e history.Entry) bool { return e.What == history.Limited }) {
		t.Errorf("%+v, %v", past, err)
	}
	if now, err := r.Get("photos"); err != nil || now.Restarts != 1 || len(now.Limits) != 1 {
		t.Errorf("%+v, %v", now, err)
	}
}
