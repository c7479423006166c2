//go:build unix

package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sharetray/agentcore/link"
	"sharetray/agentcore/link/linktest"
	"sharetray/agentcore/policy"
	"sharetray/agentcore/record"
	"sharetray/agentcore/share"
	"sharetray/platform"
)

// recordedRole, and the conversations of a version after a colon, make the test
// binary a share process of an earlier version: it says what was recorded.
const recordedRole = "recorded-process:"

// patience is how long a test waits for what should happen at once.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && strings.HasPrefix(os.Args[1], recordedRole) {
		if err := playProcess(os.Args[2], strings.TrimPrefix(os.Args[1], recordedRole)); err != nil {
			fmt.Fprintln(os.Stderr, "the recorded process:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) == 3 && os.Args[1] == muteRole {
		beMute(os.Args[2])
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	os.Exit(m.Run())
}

// playProcess is a share process that says what was recorded: to the agent that
// starts it, to the next one, and to the first one that the next one has come.
// It answers probes.
func playProcess(linkPath, folder string) error {
	p := &linktest.Player{Side: linktest.Process, Vars: map[string]any{
		"VERSION": "0.9", "IMAGE": "another", "PID": os.Getpid(), "ORDER": platform.SteadyClock(),
		"REQUESTS_S3": 0, "UPTIME_S3": 1000, "REQUESTS_A3": 7, "UPTIME_A3": time.Minute,
	}}
	ln, err := platform.InheritedLink(linkPath)
	if err != nil {
		return err
	}
	play := func(conn net.Conn, name string) error {
		lines, err := linktest.Read(filepath.Join(folder, name+".jsonl"))
		if err == nil {
			err = p.Play(conn, lines)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
	first, err := ln.Accept()
	if err != nil {
		return err
	}
	if err := play(first, "start"); err != nil {
		return err
	}
	visitors, err := p.Got[0].Listener()
	if err != nil {
		return err
	}
	go http.Serve(visitors, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(link.ProbeHeader) == p.Vars["PROBE"] {
			w.Header().Set(link.NonceHeader, p.Vars["NONCE"].(string))
		}
	}))
	p.Give = func() ([]*platform.Socket, error) {
		held, err := platform.HoldListener(visitors)
		return []*platform.Socket{held}, err
	}
	second, err := ln.Accept()
	if err != nil {
		return err
	}
	if err := play(second, "adopt"); err != nil {
		return err
	}
	if err := play(first, "taken"); err != nil {
		return err
	}
	first.Close()
	_, _ = io.Copy(io.Discard, second) // until that one is gone, too
	return nil
}

// TestUnderstandsEarlierProcesses: a process of each version of the link's
// language is started, told its share, and taken over by another agent.
func TestUnderstandsEarlierProcesses(t *testing.T) {
	t.Parallel()
	for version := link.OldestProtocol; version <= link.Protocol; version++ {
		t.Run(fmt.Sprint("v", version), func(t *testing.T) {
			folder, err := filepath.Abs(filepath.Join("..", "link", "testdata", fmt.Sprint("v", version)))
			if err != nil {
				t.Fatal(err)
			}
			takeOverRecorded(t, folder)
		})
	}
}

func takeOverRecorded(t *testing.T, folder string) {
	dir, err := os.MkdirTemp("", "st") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	stderr, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	t.Cleanup(func() {
		if b, _ := os.ReadFile(stderr.Name()); len(b) > 0 {
			t.Logf("%s", b)
		}
	})
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	launchOf := func() (Launch, chan struct{}) {
		taken := make(chan struct{}, 1)
		l := Launch{Exe: exe, Role: recordedRole + folder, Links: dir, Records: filepath.Join(dir, "r"), Version: "test", Stderr: stderr, Left: new(atomic.Bool)}
		l.Taken = func() {
			l.Left.Store(true)
			taken <- struct{}{}
		}
		return l, taken
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	// The agent that starts it.
	older, taken := launchOf()
	proc, err := launch(ctx, older)
	if err != nil {
		t.Fatal(err)
	}
	handle, err := os.FindProcess(proc.PID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = handle.Kill(); proc.link.Close() })
	if proc.Version != "0.9" || proc.Image != "another" || !proc.stale() {
		t.Errorf("it is %+v", proc)
	}
	sock, err := platform.Listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close()
	sh := recordedShare(t, folder, sock.Addr().Port())
	serve := link.Serve{Share: sh, Probe: "secret", Log: link.Log{Path: filepath.Join(dir, "log"), MaxBytes: 64 << 10, Keep: 1},
		Records: older.Records, Orphan: link.Orphan{Lease: 15 * time.Minute}}
	if _, err := proc.link.Ask(ctx, link.Message{Type: link.TypeServe, Serve: &serve}, sock); err != nil {
		t.Fatal(err)
	}
	if h, err := proc.ping(ctx); err != nil || h == nil || h.TargetError != "" {
		t.Fatalf("%+v, %v", h, err)
	}

	// The next one.
	newer, _ := launchOf()
	path := filepath.Join(dir, proc.nonce[:16])
	found, err := Meet(ctx, newer, path, &record.Record{Share: sh.Name, PID: proc.PID, Nonce: proc.nonce, Link: path})
	if err != nil {
		t.Fatal(err)
	}
	if !found.Answered || found.Role.Duty != link.Serves || found.Share != "test" || found.PID() != proc.PID || found.Version() != "0.9" || !reflect.DeepEqual(*found.Role.Serve, serve) {
		t.Errorf("%+v", found)
	}
	life, end := context.WithCancel(context.Background())
	reports := make(chan Report, 100)
	sup := NewSupervisor(Config{
		Policy: policy.Default(), Pool: NewPool(life, newer, 0, slog.New(slog.DiscardHandler)), Logger: slog.New(slog.DiscardHandler),
		Log: func(share.Share) link.Log { return serve.Log }, Report: func(r Report) { reports <- r },
	})
	defer func() {
		sup.Leave()
		<-sup.Done()
		newer.Left.Store(true)
		end()
		found.Forget()
	}()
	sup.Post(Event{Kind: Declare, Roll: true, StopGrace: time.Second}, &sh)
	sup.Adopt(found, 3)
	for adopted := false; !adopted; {
		select {
		case r := <-reports:
			for _, n := range r.Notices {
				if n.Kind != NoticeAdopted {
					t.Fatalf("told: %+v", n)
				}
				adopted = true
				if c := r.State.Cur; r.State.Phase != Ready || c.PID != proc.PID || c.Version != "0.9" || !c.Stale || r.State.Restarts != 3 || c.ReadyAt.IsZero() {
					t.Errorf("%+v", r.State)
				}
			}
		case <-ctx.Done():
			t.Fatal("it was not adopted")
		}
	}
	select {
	case <-taken:
	case <-ctx.Done():
		t.Error("the agent before was not told")
	}
	<-proc.link.Done()
	if _, err := platform.ProcessStart(proc.PID); err != nil {
		t.Errorf("the agent before did not leave the process alone: %v", err)
	}
}

// recordedShare is the share that the process of the recording is told to be.
func recordedShare(t *testing.T, folder string, port uint16) (sh share.Share) {
	t.Helper()
	lines, err := linktest.Read(filepath.Join(folder, "start.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		m, ok := l.Frame.(map[string]any)["serve"].(map[string]any)
		if !ok {
			continue
		}
		fields := m["share"].(map[string]any)
		fields["Port"], fields["Target"] = port, t.TempDir()
		data, err := json.Marshal(fields)
		if err == nil {
			err = json.Unmarshal(data, &sh)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return sh
}

// TestMeetNobody: what Meet says of those who are not there.
func TestMeetNobody(t *testing.T) {
	t.Parallel()
	l := Launch{Records: t.TempDir(), Left: new(atomic.Bool), Taken: func() {}}
	if f, err := Meet(t.Context(), l, filepath.Join(t.TempDir(), "none"), nil); f != nil || !errors.Is(err, ErrNobody) {
		t.Errorf("%+v, %v", f, err)
	}
}

// muteRole makes the test binary a share process that never introduces itself,
// and ends with its link.
const muteRole = "mute-process"

func beMute(linkPath string) {
	ln, err := platform.InheritedLink(linkPath)
	if err != nil {
		os.Exit(1)
	}
	conn, err := ln.Accept()
	if err != nil {
		os.Exit(1)
	}
	_, _ = io.Copy(io.Discard, conn)
	os.Exit(0)
}

// TestLeaveInMidLaunch: an agent that leaves waits for nobody, not even for a
// process that is just coming up.
func TestLeaveInMidLaunch(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "st")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	l := Launch{Exe: exe, Role: muteRole, Links: dir, Records: filepath.Join(dir, "r"), Version: "test", Left: new(atomic.Bool), Taken: func() {}}
	ctx, leave := context.WithCancel(t.Context())
	pool := NewPool(ctx, l, 1, slog.New(slog.DiscardHandler))
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if links, err := os.ReadDir(dir); err == nil && len(links) == 2 {
			break
		} else if time.Now().After(end) {
			t.Fatalf("no process is started: %v, %v", links, err)
		}
	}
	l.Left.Store(true)
	leave()
	select {
	case <-pool.Done():
	case <-time.After(patience):
		t.Error("the pool waits for a process that it has left alone")
	}
}
