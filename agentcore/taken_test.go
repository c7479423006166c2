package agentcore_test

import (
	"testing"
	"time"

	"sharetray/agentcore/link"
	"sharetray/agentcore/record"
	"sharetray/platform"
)

// TestTakenByAnotherAgent: an agent whose share processes another one has adopted
// leaves, and harms none of them, not even by what it takes for their death.
func TestTakenByAnotherAgent(t *testing.T) {
	t.Parallel()
	for range 5 {
		r := newRig(t, "")
		st := r.share("photos", r.folder("hello"))
		var rec record.Record
		for end := time.Now().Add(patience); rec.PID == 0; time.Sleep(time.Millisecond) {
			if list, err := record.List(r.paths.Records); err == nil && len(list) == 1 && list[0].Err == nil {
				rec = list[0].Record
			} else if time.Now().After(end) {
				t.Fatalf("no record: %+v, %v", list, err)
			}
		}
		if rec.PID != st.PID || rec.Share.String() != "photos" {
			t.Fatalf("%+v of %+v", rec, st)
		}
		conn, life, err := platform.FindChild(rec.Link)
		if err != nil {
			t.Fatal(err)
		}
		defer life.Close()
		other := link.New(conn, func(link.Message, []*platform.Socket) *link.Message { return nil })
		t.Cleanup(func() {
			kill(t, rec.PID)
			<-other.Done()
		})
		for _, m := range []link.Message{{Type: link.TypeHello, Hello: &link.Hello{Protocol: link.Protocol}}, {Type: link.TypeAdopt}} {
			answer, err := other.Ask(r.ctx(), m)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range answer.Sockets {
				defer s.Close()
			}
		}
		select {
		case <-r.Done():
		case <-time.After(patience):
			t.Fatal("the agent does not leave")
		}
		r.mustGet(st.URLs[0]+"a.txt", "hello")
		if _, err := other.Ask(r.ctx(), link.Message{Type: link.TypePing}); err != nil {
			t.Errorf("the process: %v", err)
		}
		if list, err := record.List(r.paths.Records); err != nil || len(list) != 1 || list[0].Record != rec {
			t.Errorf("its record: %+v, %v", list, err)
		}
	}
}
