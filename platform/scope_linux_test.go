package platform

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
)

// systemd is a stand-in for the user's systemd.
type systemd struct {
	conn   *dbus.Conn
	refuse *dbus.Error
	answer func(job dbus.ObjectPath, unit string) // after StartTransientUnit; nil: none
	asked  chan scopeRequest
}

type scopeRequest struct {
	name, mode string
	properties map[string]any
}

func (s *systemd) Subscribe() *dbus.Error { return nil }

func (s *systemd) StartTransientUnit(name, mode string, properties []scopeProperty, _ []auxUnit) (dbus.ObjectPath, *dbus.Error) {
	r := scopeRequest{name, mode, map[string]any{}}
	for _, p := range properties {
		r.properties[p.Name] = p.Value.Value()
	}
	s.asked <- r
	if s.refuse != nil {
		return "", s.refuse
	}
	const job = dbus.ObjectPath(systemdPath + "/job/7")
	if s.answer != nil {
		s.answer(job, name)
	}
	return job, nil
}

func (s *systemd) removed(body ...any) {
	_ = s.conn.Emit(systemdPath, managerName+".JobRemoved", body...)
}

// serveSystemd puts s on a bus of the test's own.
func serveSystemd(t *testing.T, s *systemd) *systemd {
	t.Helper()
	s.conn, s.asked = testBus(t), make(chan scopeRequest, 1)
	if err := s.conn.Export(s, systemdPath, managerName); err != nil {
		t.Fatal(err)
	}
	if _, err := s.conn.RequestName(systemdName, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	return s
}

// kernel is a folder with files such as the kernel shows.
func kernel(t *testing.T, group string, limits map[string]string) string {
	t.Helper()
	root := t.TempDir()
	files := map[string]string{
		"proc/self/cgroup": "4:memory:/old\n1:name=systemd:/x\n0::" + group + "\n",
		"proc/self/mountinfo": "22 1 0:21 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n" +
			"30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
	}
	for name, text := range limits {
		files[filepath.Join("sys/fs/cgroup", group, name)] = text
	}
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const testGroup = "/user.slice/user-1000.slice/user@1000.service/app.slice/st-1.scope"

func TestEnterScope(t *testing.T) {
	s := &systemd{}
	s.answer = func(job dbus.ObjectPath, unit string) { // what else is on a bus comes first
		s.removed("garbage")
		s.removed(uint32(6), dbus.ObjectPath(systemdPath+"/job/6"), unit, "failed")
		s.removed(uint32(7), job, unit, "done")
	}
	serveSystemd(t, s)
	root := kernel(t, testGroup, map[string]string{"memory.max": "268435456\n", "cpu.max": "50000 100000\n", "pids.max": "64\n"})
	want := ScopeLimits{Memory: 256 << 20, CPU: 500, Tasks: 64}
	got, err := enterScopeIn(t.Context(), root, "st-1.scope", "Sharetray: x", want)
	if err != nil || got != want {
		t.Errorf("in force: %+v, %v, want %+v", got, err, want)
	}
	if r, want := <-s.asked, (scopeRequest{"st-1.scope", "fail", map[string]any{
		"Description": "Sharetray: x", "PIDs": []uint32{0}, "CollectMode": "inactive-or-failed",
		"MemoryMax": uint64(256 << 20), "MemorySwapMax": uint64(0), "CPUQuotaPerSecUSec": uint64(500_000), "TasksMax": uint64(64),
	}}); !reflect.DeepEqual(r, want) {
		t.Errorf("asked for %+v, want %+v", r, want)
	}
	// Only what is limited is asked for.
	if _, err := enterScopeIn(t.Context(), root, "st-1.scope", "", ScopeLimits{CPU: 10}); err != nil {
		t.Error(err)
	}
	if r := <-s.asked; len(r.properties) != 4 || r.properties["CPUQuotaPerSecUSec"] != uint64(10_000) {
		t.Errorf("asked for %+v", r)
	}
}

// TestScopeInForce: what counts is what the kernel shows.
func TestScopeInForce(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		files map[string]string
		want  ScopeLimits
	}{
		"no controllers": {nil, ScopeLimits{}},
		"no limits":      {map[string]string{"memory.max": "max\n", "cpu.max": "max 100000\n", "pids.max": "max\n"}, ScopeLimits{}},
		"some":           {map[string]string{"memory.max": "4096\n", "cpu.max": "max 100000\n"}, ScopeLimits{Memory: 4096}},
		"garbage":        {map[string]string{"memory.max": "a lot\n", "cpu.max": "1 0\n", "pids.max": ""}, ScopeLimits{}},
		"odd periods":    {map[string]string{"cpu.max": "30000 20000\n"}, ScopeLimits{CPU: 1500}},
	} {
		if got, err := scopeInForce(kernel(t, testGroup, c.files), "st-1.scope"); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v, want %+v", what, got, err, c.want)
		}
	}
	if _, err := scopeInForce(kernel(t, "/user.slice/session-2.scope", nil), "st-1.scope"); err == nil {
		t.Error("a process that was not moved is in its scope")
	}
	if _, err := scopeInForce(t.TempDir(), "st-1.scope"); err == nil {
		t.Error("a scope without a kernel")
	}
}

// TestOwnGroupIsThere: this machine's own files are read.
func TestOwnGroupIsThere(t *testing.T) {
	t.Parallel()
	group, err := ownGroup("/")
	if err == nil {
		var mount string
		if mount, err = groupMount("/"); err == nil {
			_, err = os.Stat(filepath.Join(mount, group, "cgroup.procs"))
		}
	}
	if err != nil && !errors.Is(err, ErrUnsupported) { // a system with version 1 only
		t.Error(err)
	}
}

func TestScopeIsNotHad(t *testing.T) {
	for what, c := range map[string]struct {
		systemd *systemd
		result  string // of the job
		says    string
	}{
		"denied":           {&systemd{refuse: dbus.NewError("org.freedesktop.DBus.Error.AccessDenied", []any{"no"})}, "", "no"},
		"unknown property": {&systemd{refuse: dbus.NewError("org.freedesktop.DBus.Error.PropertyReadOnly", []any{"Cannot set property TasksMax"})}, "", "TasksMax"},
		"the job fails":    {&systemd{}, "failed", `its job is "failed"`},
		"not moved":        {&systemd{}, "done", "but this process is in /elsewhere"},
	} {
		t.Run(what, func(t *testing.T) {
			s := c.systemd
			if c.result != "" {
				s.answer = func(job dbus.ObjectPath, unit string) { s.removed(uint32(7), job, unit, c.result) }
			}
			serveSystemd(t, s)
			got, err := enterScopeIn(t.Context(), kernel(t, "/elsewhere", nil), "st-1.scope", "", ScopeLimits{Memory: 1})
			if err == nil || !strings.Contains(err.Error(), c.says) || got != (ScopeLimits{}) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// TestScopeWithoutAnAnswer: a systemd that takes the request, and falls silent.
func TestScopeWithoutAnAnswer(t *testing.T) {
	s := serveSystemd(t, &systemd{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-s.asked
		cancel()
	}()
	if _, err := EnterScope(ctx, "st-1.scope", "", ScopeLimits{Tasks: 64}); err == nil {
		t.Error("a silent systemd makes a scope")
	}
}

func TestScopeWithoutSystemd(t *testing.T) {
	testBus(t)
	if _, err := EnterScope(t.Context(), "st-1.scope", "", ScopeLimits{Tasks: 64}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("a bus without systemd: %v", err)
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus")
	if _, err := EnterScope(t.Context(), "st-1.scope", "", ScopeLimits{Tasks: 64}); err == nil {
		t.Error("a scope without a bus")
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	if _, err := EnterScope(t.Context(), "st-1.scope", "", ScopeLimits{Tasks: 64}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("no bus: %v", err)
	}
}
