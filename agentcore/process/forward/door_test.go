package forward

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
)

// watched is a door that notes who came, and can be shut.
type watched struct {
	mu   sync.Mutex
	shut bool
	came []netip.AddrPort
}

func (w *watched) door() Door {
	return Door{
		Admit: func(netip.AddrPort) bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return !w.shut
		},
		Came: func(from netip.AddrPort) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.came = append(w.came, from)
		},
	}
}

// turn shuts or opens the door, and returns who came so far.
func (w *watched) turn(shut bool) []netip.AddrPort {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shut = shut
	return slices.Clone(w.came)
}

// Who may not come in is reset, and was not there; probes are answered.
func TestDoor(t *testing.T) {
	ln := listen(t)
	serveTarget(t, ln, echoes)
	var w watched
	ports := make(chan uint16, 1)
	f, addr := startTCP(t, ln.Addr().String(), Options{Door: w.door(), Probe: probeOf(ports)})
	c := dial(t, addr)
	say(t, c, "hello")
	hear(t, c, "hello")
	if came := w.turn(true); len(came) != 1 || came[0].String() != c.LocalAddr().String() {
		t.Errorf("%v came", came)
	}
	if out, err := net.Dial("tcp", addr); err == nil { // it may be reset that early
		if got := end(out); got != "<reset>" {
			t.Errorf("outside, one hears %q", got)
		}
		out.Close()
	} else if !isReset(err) {
		t.Error(err)
	}
	if got := probe(t, addr, ports); got != "it is me" {
		t.Errorf("the probe hears %q", got)
	}
	say(t, c, "inside") // whoever is in stays
	hear(t, c, "inside")
	if s := f.Stats(); len(w.turn(false)) != 1 || s.Total != 1 || s.Denied != 1 {
		t.Errorf("%+v", s)
	}
}

// Of datagrams, each is asked about, and each session told.
func TestDoorForDatagrams(t *testing.T) {
	var w watched
	target := echoUDP(t, "127.0.0.1:0")
	f, addr := startUDP(t, target.LocalAddr().String(), UDPOptions{Door: w.door()})
	c := dialUDP(t, addr)
	for range 3 {
		ask(t, c, []byte("hello"))
	}
	if came := w.turn(true); len(came) != 1 || came[0].String() != c.LocalAddr().String() {
		t.Errorf("%v came", came)
	}
	say(t, c, "known")
	say(t, dialUDP(t, addr), "new")
	eventually(t, "both denied", func() bool { return f.Stats().Denied == 2 })
	w.turn(false)
	if got := string(ask(t, c, []byte("again"))); got != "again" {
		t.Errorf("%q", got)
	}
	if s := f.Stats(); len(w.turn(false)) != 1 || s.Total != 1 {
		t.Errorf("%+v", s)
	}
}

// Who has a wrong password was not there.
func TestDoorOfAProxy(t *testing.T) {
	ln := listen(t)
	serveTarget(t, ln, echoes)
	var w watched
	_, proxy := startSOCKS(t, SOCKSOptions{
		Options: Options{Door: w.door()}, Users: map[string][]byte{"guest": hashOf(t, "right")},
	}, ln.Addr().String())
	for password, want := range map[string]string{"wrong": "\x01\x01", "right": "\x01\x00"} {
		c := dial(t, proxy)
		say(t, c, "\x05\x01\x02")
		hear(t, c, "\x05\x02")
		say(t, c, "\x01\x05guest\x05"+password)
		hear(t, c, want)
		if password == "wrong" {
			end(c)
			continue
		}
		to := netip.MustParseAddrPort(ln.Addr().String())
		_, _ = c.Write(request(commandConnect, to.Addr().String(), to.Port()))
		hear(t, c, "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
		if came := w.turn(false); len(came) != 1 || came[0].String() != c.LocalAddr().String() {
			t.Errorf("%v came", came)
		}
	}
	if came := w.turn(false); len(came) != 1 {
		t.Errorf("%v came", came)
	}
}
