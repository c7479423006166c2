package agentcore_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sharetray/agentcore"
	"sharetray/agentcore/problem"
	"sharetray/agentcore/supervise"
)

func (r *rig) file(name string) string { return filepath.Join(r.paths.Shares, name+".toml") }

// TestHandEdits: what is written into a share's file takes effect.
func TestHandEdits(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	port := freePort(t)
	r.write(r.file("by hand"), `kind = "web"`+"\ntarget = \""+r.folder("one")+"\"\nport = "+port+"\n")
	st := r.untilState("by hand", supervise.Ready)
	r.mustGet(st.URLs[0]+"a.txt", "one")

	other := r.folder("two")
	l := startLoad(t, st.URLs[0], "", 0)
	r.write(r.file("by hand"), `kind = "web"`+"\ntarget = \""+other+"\"\nport = "+port+"\n")
	moved := r.until("by hand", "moved", func(s agentcore.Status) bool {
		return s.Target == other && s.PID != st.PID && s.State == supervise.Ready
	})
	r.mustGet(moved.URLs[0]+"a.txt", "two")
	l.mustBeClean(t)

	if err := os.Remove(r.file("by hand")); err != nil {
		t.Fatal(err)
	}
	untilGone(t, moved.PID)
	for len(r.List()) > 0 {
		time.Sleep(time.Millisecond)
	}
}

// TestHandWrittenFileGetsAPort, for life.
func TestHandWrittenFileGetsAPort(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	r.write(r.file("photos"), "# mine\n"+`kind = "web"`+"\ntarget = \""+r.folder("hello")+"\"\n")
	st := r.untilState("photos", supervise.Ready)
	r.mustGet(st.URLs[0]+"a.txt", "hello")
	b, err := os.ReadFile(r.file("photos"))
	if err != nil || !strings.Contains(string(b), "# mine\n") || !strings.Contains(string(b), "port = "+strconv.Itoa(int(st.Port))) {
		t.Errorf("the file says %q, %v", b, err)
	}
}

// TestBrokenFileHarmsNobody: a file that can't be used is kept as it is and
// shown as invalid; its share goes on as it last was, and no other suffers.
func TestBrokenFileHarmsNobody(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	photos, other := r.share("photos", r.folder("hello")), r.share("other", r.folder("other"))
	good, err := os.ReadFile(r.file("photos"))
	if err != nil {
		t.Fatal(err)
	}
	for _, broken := range []string{"", "kind = \"we", strings.Replace(string(good), "\nport =", "\nprot =", 1), "\x00\xff\xfe", "version = 99\n" + string(good)} {
		r.write(r.file("photos"), broken)
		st := r.untilState("photos", supervise.Invalid)
		if !strings.Contains(st.LastError, "photos.toml") {
			t.Errorf("%q: the error does not name the file: %s", broken, st.LastError)
		}
		r.mustGet(photos.URLs[0]+"a.txt", "hello")
		if _, err := r.Set(r.ctx(), "photos", map[string]string{"notify": "false"}); err == nil {
			t.Errorf("%q was written over", broken)
		}
		if now, _ := os.ReadFile(r.file("photos")); string(now) != broken {
			t.Errorf("the broken file was touched: %q", now)
		}
		r.write(r.file("photos"), string(good))
		r.untilState("photos", supervise.Ready)
	}
	now, _ := r.Get("other")
	if now.PID != other.PID || now.State != supervise.Ready {
		t.Errorf("the other share was disturbed: %+v", now)
	}
	if now, _ := r.Get("photos"); now.PID != photos.PID {
		t.Errorf("the share was restarted for nothing: pid %d, was %d", now.PID, photos.PID)
	}
}

// TestFolderGoesAndReturns: the state says so, nothing else is served meanwhile.
func TestFolderGoesAndReturns(t *testing.T) {
	t.Parallel()
	r := newRig(t, quickSettings)
	parent := t.TempDir()
	dir := filepath.Join(parent, "photos")
	make1 := func(content string) {
		t.Helper()
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		r.write(filepath.Join(dir, "a.txt"), content)
	}
	make1("first")
	r.write(filepath.Join(parent, "a.txt"), "the parent's")
	st := r.share("photos", dir)
	r.mustGet(st.URLs[0]+"a.txt", "first")

	if err := os.Rename(dir, filepath.Join(parent, "moved")); err != nil {
		t.Fatal(err)
	}
	down := r.untilState("photos", supervise.Unhealthy)
	if down.Trouble != supervise.TargetTrouble || !strings.Contains(down.LastError, dir) || down.PID != st.PID {
		t.Errorf("the folder is gone, and the share says %+v", down)
	}
	if body, err := get(st.URLs[0] + "a.txt"); err == nil {
		t.Errorf("the folder is gone, and %q is served", body)
	}
	make1("second")
	r.untilState("photos", supervise.Ready)
	r.mustGet(st.URLs[0]+"a.txt", "second")
}

// TestAppBehindGoesAndReturns: the share is up, its target is not.
func TestAppBehindGoesAndReturns(t *testing.T) {
	t.Parallel()
	r := newRig(t, quickSettings)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("the app")) }))
	addr := app.Listener.Addr().String()
	st, err := r.Add(r.ctx(), agentcore.NewShare{Kind: "proxy", Target: app.URL, Name: "app"})
	if err != nil {
		t.Fatal(err)
	}
	r.mustGet(st.URLs[0], "the app")
	app.Close()
	_, _ = get(st.URLs[0]) // a visitor finds out first
	down := r.untilState("app", supervise.Unhealthy)
	if down.Trouble != supervise.TargetTrouble || down.PID != st.PID {
		t.Errorf("the app is down, and the share says %+v", down)
	}
	resp, err := http.Get(st.URLs[0])
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusBadGateway {
		t.Errorf("the app is down, and the share answers %s", resp.Status)
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	again := &http.Server{Handler: app.Config.Handler}
	go again.Serve(ln)
	defer again.Close()
	r.untilState("app", supervise.Ready)
	r.mustGet(st.URLs[0], "the app")
}

// TestPortInUse: the error names the port and who has it, and nothing is kept.
func TestPortInUse(t *testing.T) {
	t.Parallel()
	r := newRig(t, quickSettings)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	port := strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
	dir := r.folder("hello")
	_, err = r.Add(r.ctx(), agentcore.NewShare{Kind: "web", Target: dir, Name: "photos", Keys: map[string]string{"port": port}})
	if !problem.Is(err, problem.Conflict) || !strings.Contains(err.Error(), port) {
		t.Errorf("got %v", err)
	}
	if list := r.List(); len(list) > 0 {
		t.Errorf("kept %+v", list)
	}
	if files, _ := filepath.Glob(r.paths.Shares + "/*"); len(files) > 0 {
		t.Errorf("kept %v", files)
	}

	// A share that has a port does not lose it to one that can't be had.
	st := r.share("photos", dir)
	if _, err := r.Set(r.ctx(), "photos", map[string]string{"port": port}); !problem.Is(err, problem.Conflict) {
		t.Errorf("set to a taken port: %v", err)
	}
	r.mustGet(st.URLs[0]+"a.txt", "hello")
	_, err = r.Add(r.ctx(), agentcore.NewShare{Kind: "web", Target: dir, Name: "second", Keys: map[string]string{"port": strconv.Itoa(int(st.Port))}})
	if !problem.Is(err, problem.Conflict) || !strings.Contains(err.Error(), "photos") {
		t.Errorf("the port of another share: %v", err)
	}

	// Declared by hand, it waits for the port, and takes it when it is free.
	r.write(r.file("later"), `kind = "web"`+"\ntarget = \""+dir+"\"\nport = "+port+"\n")
	later := r.untilState("later", supervise.Backoff)
	if later.Trouble != supervise.PortTrouble || !strings.Contains(later.LastError, port) {
		t.Errorf("its port is taken, and it says %+v", later)
	}
	ln.Close()
	later = r.untilState("later", supervise.Ready)
	r.mustGet(later.URLs[0]+"a.txt", "hello")
}

// TestSetPortMovesTheShare to its new link.
func TestSetPortMovesTheShare(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	st := r.share("photos", r.folder("hello"))
	port := freePort(t)
	moved, err := r.Set(r.ctx(), "photos", map[string]string{"port": port})
	if err != nil {
		t.Fatal(err)
	}
	r.mustGet("http://127.0.0.1:"+port+"/a.txt", "hello")
	if _, err := get(st.URLs[0] + "a.txt"); err == nil {
		t.Error("the old link still answers")
	}
	if moved.URLs[0] != "http://127.0.0.1:"+port+"/" {
		t.Errorf("its link is said to be %v", moved.URLs)
	}
}

// TestBadTargets are refused with a sentence, and nothing is kept.
func TestBadTargets(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	dir := r.folder("hello")
	for target, want := range map[string]string{
		filepath.Join(dir, "missing"): "no folder", filepath.Join(dir, "a.txt"): "is a file",
		"relative": "absolute", "": "",
	} {
		_, err := r.Add(r.ctx(), agentcore.NewShare{Kind: "web", Target: target})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", target, err)
		}
	}
	if list := r.List(); len(list) > 0 {
		t.Errorf("kept %+v", list)
	}
}

// TestNamesDoNotClash: two shares of one name, also when asked for at once.
func TestNamesDoNotClash(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	dir := r.folder("hello")
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for range 6 {
		wg.Go(func() {
			_, err := r.Add(r.ctx(), agentcore.NewShare{Kind: "web", Target: dir, Name: "photos"})
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !problem.Is(err, problem.Exists) {
			t.Errorf("got %v", err)
		}
	}
	if won != 1 || len(r.List()) != 1 {
		t.Errorf("%d won, there are %d shares", won, len(r.List()))
	}
	a, b := r.share("", dir), r.share("", dir)
	if a.Name == b.Name || a.Port == b.Port {
		t.Errorf("unnamed shares are %s on %d and %s on %d", a.Name, a.Port, b.Name, b.Port)
	}
	if _, err := r.Set(r.ctx(), "nobody", nil); !problem.Is(err, problem.NotFound) {
		t.Errorf("no such share: %v", err)
	}
}

// TestSecondAgent: one has the lock, the other is told who, at once.
func TestSecondAgent(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	_, err := agentcore.Start(context.Background(), r.paths, agentcore.Options{Log: discard})
	if !problem.Is(err, problem.Exists) || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Errorf("got %v", err)
	}
}
