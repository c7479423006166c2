package link

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sharetray/platform"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair returns both ends of a real link.
func pair(t *testing.T) (agent, process net.Conn) {
	t.Helper()
	ln, err := platform.ListenControl(filepath.Join(t.TempDir(), "l"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	agent, err = platform.DialControl(t.Context(), ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	process, err = ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { agent.Close(); process.Close() })
	return agent, process
}

func mute(Message, []*platform.Socket) *Message { return nil }

func TestSocketsTravel(t *testing.T) {
	a, b := pair(t)
	got := make(chan []*platform.Socket, 1)
	process := New(b, func(m Message, socks []*platform.Socket) *Message {
		got <- socks
		return &Message{Type: TypeOK}
	})
	agent := New(a, mute)
	defer func() { agent.Close(); <-process.Done(); <-agent.Done() }()

	held, err := platform.Listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	// A visitor comes before anybody accepts, and after the sender let go.
	visitor, err := net.Dial("tcp", held.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer visitor.Close()
	if _, err := agent.Ask(t.Context(), Message{Type: TypeServe}, held); err != nil {
		t.Fatal(err)
	}
	held.Close()
	socks := <-got
	if len(socks) != 1 || socks[0].Addr() != held.Addr() {
		t.Fatalf("got %d sockets, want the one of %s", len(socks), held.Addr())
	}
	ln, err := socks[0].Listener()
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.RemoteAddr().String() != visitor.LocalAddr().String() {
		t.Errorf("accepted %s, want %s", c.RemoteAddr(), visitor.LocalAddr())
	}
}

// TestManySocketsTravel: an answer that comes before the writer is heard of
// must not be taken for a link that hangs.
func TestManySocketsTravel(t *testing.T) {
	a, b := pair(t)
	process := New(b, func(_ Message, socks []*platform.Socket) *Message {
		for _, s := range socks {
			s.Close()
		}
		return &Message{Type: TypeOK}
	})
	agent := New(a, mute)
	defer func() { agent.Close(); <-process.Done(); <-agent.Done() }()
	held, err := platform.Listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	for i := range 500 {
		if _, err := agent.Ask(t.Context(), Message{Type: TypeServe}, held); err != nil {
			t.Fatalf("hand-over %d: %v", i, err)
		}
	}
}

func TestRefusal(t *testing.T) {
	a, b := pair(t)
	process := New(b, func(Message, []*platform.Socket) *Message {
		return &Message{Type: TypeRefuse, Refusal: &Refusal{Sentence: "no such folder", Permanent: true}}
	})
	agent := New(a, mute)
	defer func() { agent.Close(); <-process.Done(); <-agent.Done() }()
	_, err := agent.Ask(t.Context(), Message{Type: TypeServe})
	refused, ok := errors.AsType[*Refused](err)
	if !ok || !refused.Permanent || refused.Sentence != "no such folder" {
		t.Errorf("got %v", err)
	}
}

func TestDeathAnswersWhoWaits(t *testing.T) {
	a, b := pair(t)
	agent := New(a, mute)
	asked := make(chan error, 1)
	go func() {
		_, err := agent.Ask(context.Background(), Message{Type: TypePing})
		asked <- err
	}()
	// The question is on its way once it can be read; then its reader dies.
	if _, _, err := platform.ReadFrame(b); err != nil {
		t.Fatal(err)
	}
	b.Close()
	if err := <-asked; !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	<-agent.Done()
	if _, err := agent.Ask(t.Context(), Message{Type: TypePing}); !errors.Is(err, ErrClosed) {
		t.Errorf("asked afterwards: %v, want ErrClosed", err)
	}
}

// TestStoppedProcess: one that does not read costs its deadline, and nothing
// of what was to be handed over stays half-way.
func TestStoppedProcess(t *testing.T) {
	a, b := pair(t)
	defer b.Close()
	agent := New(a, mute)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := agent.Ask(ctx, Message{Type: TypePing}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline", err)
	}
	held, err := platform.Listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	big := Message{Type: TypeRefuse, Refusal: &Refusal{Sentence: strings.Repeat("x", 900<<10)}}
	ctx2, cancel2 := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel2()
	if _, err := agent.Ask(ctx2, big, held); err == nil {
		t.Error("a full pipe took a large message with a socket")
	}
	<-agent.Done()
}

func TestGarbage(t *testing.T) {
	for name, bytes := range map[string]string{
		"not JSON":       "\x00\x00\x00\x03\x00\x00\x00\x00abc",
		"too large":      "\xff\xff\xff\xff\x00\x00\x00\x00",
		"missing socket": "\x00\x00\x00\x02\x00\x00\x00\x01{}",
		"cut off":        "\x00\x00\x00\x09\x00",
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t)
			agent := New(a, mute)
			if _, err := b.Write([]byte(bytes)); err != nil {
				t.Fatal(err)
			}
			if name == "cut off" {
				b.Close()
			}
			<-agent.Done()
			if _, err := agent.Ask(t.Context(), Message{Type: TypePing}); !errors.Is(err, ErrClosed) {
				t.Errorf("got %v, want ErrClosed", err)
			}
		})
	}
}

// TestNoGoroutineStays: many links, opened and closed, leave nothing.
func TestNoGoroutineStays(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 50 {
		a, b := pair(t)
		agent, process := New(a, mute), New(b, mute)
		agent.Close()
		<-agent.Done()
		<-process.Done()
	}
	if now := runtime.NumGoroutine(); now > before+2 {
		t.Errorf("%d goroutines, %d before", now, before)
	}
}

// TestHungUpBeforeSockets: who asks of a link that its other side has closed is
// told so, with sockets too, and never waits for ever.
func TestHungUpBeforeSockets(t *testing.T) {
	held, err := platform.Listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	for range 200 { // it depends on who comes first
		a, b := pair(t)
		agent := New(a, mute)
		b.Close()
		if _, err := agent.Ask(t.Context(), Message{Type: TypePing}, held); !errors.Is(err, ErrClosed) {
			t.Fatalf("got %v, want ErrClosed", err)
		}
		agent.Close()
		<-agent.Done()
	}
}
