package platform

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/godbus/dbus/v5"
)

const (
	systemdName = "org.freedesktop.systemd1"
	systemdPath = "/org/freedesktop/systemd1"
	managerName = systemdName + ".Manager"
)

// enterScope asks the user's systemd for a transient scope: control groups are
// systemd's to make. It does not believe what systemd says: what counts is what
// the kernel shows in the group afterwards.
func enterScope(ctx context.Context, name, description string, want ScopeLimits) (ScopeLimits, error) {
	return enterScopeIn(ctx, "/", name, description, want)
}

// enterScopeIn is enterScope with the root of the files that the kernel shows.
func enterScopeIn(ctx context.Context, root, name, description string, want ScopeLimits) (ScopeLimits, error) {
	if os.Getenv("DBUS_SESSION_BUS_ADDRESS") == "" {
		return ScopeLimits{}, fmt.Errorf("enter a control group without a session bus: %w", ErrUnsupported)
	}
	life, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := SessionBus(life)
	if err != nil {
		return ScopeLimits{}, err
	}
	defer conn.Close()
	if err := startScope(ctx, conn, name, description, want); err != nil {
		return ScopeLimits{}, err
	}
	return scopeInForce(root, name)
}

// startScope has systemd put this process into a scope, and waits until it has.
func startScope(ctx context.Context, conn *dbus.Conn, name, description string, want ScopeLimits) error {
	signals := make(chan *dbus.Signal, 16)
	conn.Signal(signals)
	err := conn.AddMatchSignalContext(ctx, dbus.WithMatchSender(systemdName), dbus.WithMatchObjectPath(systemdPath),
		dbus.WithMatchInterface(managerName), dbus.WithMatchMember("JobRemoved"))
	if err != nil {
		return fmt.Errorf("listen to systemd: %w", err)
	}
	// Nobody is started for it: where systemd is, it runs.
	call := func(method string, args ...any) *dbus.Call {
		return conn.Object(systemdName, systemdPath).CallWithContext(ctx, managerName+"."+method, dbus.FlagNoAutoStart, args...)
	}
	if err := call("Subscribe").Err; err != nil {
		return fmt.Errorf("listen to systemd: %w", unknownIsUnsupported(err))
	}
	var job dbus.ObjectPath
	if err := call("StartTransientUnit", name, "fail", scopeProperties(description, want), []auxUnit{}).Store(&job); err != nil {
		return fmt.Errorf("ask systemd for the scope %s: %w", name, err)
	}
	for {
		select {
		case s, ok := <-signals:
			if !ok {
				return fmt.Errorf("wait for the scope %s: %w", name, dbus.ErrClosed)
			}
			var id uint32
			var removed dbus.ObjectPath
			var unit, result string
			if err := dbus.Store(s.Body, &id, &removed, &unit, &result); err != nil || s.Name != managerName+".JobRemoved" || removed != job {
				continue // another's
			}
			if result != "done" {
				return fmt.Errorf("systemd could not make the scope %s: its job is %q", name, result)
			}
			return nil
		case <-ctx.Done():
			return fmt.Errorf("wait for the scope %s: %w", name, context.Cause(ctx))
		}
	}
}

// scopeProperty and auxUnit are what StartTransientUnit takes: a(sv) and
// a(sa(sv)).
type scopeProperty struct {
	Name  string
	Value dbus.Variant
}

type auxUnit struct {
	Name       string
	Properties []scopeProperty
}

// scopeProperties are those of org.freedesktop.systemd1(5). The process names
// itself as 0, the one that asks: inside a container its own number would be a
// stranger's.
func scopeProperties(description string, want ScopeLimits) []scopeProperty {
	all := []scopeProperty{
		{"Description", dbus.MakeVariant(description)},
		{"PIDs", dbus.MakeVariant([]uint32{0})},
		{"CollectMode", dbus.MakeVariant("inactive-or-failed")},
	}
	if want.Memory > 0 {
		all = append(all, scopeProperty{"MemoryMax", dbus.MakeVariant(uint64(want.Memory))},
			scopeProperty{"MemorySwapMax", dbus.MakeVariant(uint64(0))})
	}
	if want.CPU > 0 {
		all = append(all, scopeProperty{"CPUQuotaPerSecUSec", dbus.MakeVariant(uint64(want.CPU) * 1000)})
	}
	if want.Tasks > 0 {
		all = append(all, scopeProperty{"TasksMax", dbus.MakeVariant(uint64(want.Tasks))})
	}
	return all
}

// unknownIsUnsupported makes ErrUnsupported of a bus on which there is no systemd.
func unknownIsUnsupported(err error) error {
	var busErr dbus.Error
	if errors.As(err, &busErr) {
		switch busErr.Name {
		case "org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner":
			return fmt.Errorf("%w: %w", ErrUnsupported, err)
		}
	}
	return err
}

// scopeInForce reads which limits the control group of this process has, if it
// is the scope.
func scopeInForce(root, name string) (ScopeLimits, error) {
	group, err := ownGroup(root)
	if err != nil {
		return ScopeLimits{}, err
	}
	if filepath.Base(group) != name {
		return ScopeLimits{}, fmt.Errorf("systemd says that the scope %s is there, but this process is in %s", name, group)
	}
	mount, err := groupMount(root)
	if err != nil {
		return ScopeLimits{}, err
	}
	read := func(file string) []string { // a missing file is a limit that the group can't have
		b, _ := os.ReadFile(filepath.Join(root, mount, group, file))
		return strings.Fields(string(b))
	}
	var in ScopeLimits
	if f := read("memory.max"); len(f) == 1 {
		in.Memory, _ = strconv.ParseInt(f[0], 10, 64) // "max" is none
	}
	if f := read("cpu.max"); len(f) == 2 {
		quota, _ := strconv.Atoi(f[0])
		if period, _ := strconv.Atoi(f[1]); period > 0 {
			in.CPU = quota * 1000 / period
		}
	}
	if f := read("pids.max"); len(f) == 1 {
		in.Tasks, _ = strconv.Atoi(f[0])
	}
	return in, nil
}

// ownGroup is the path of this process's group in the unified hierarchy
// (cgroups(7)).
func ownGroup(root string) (string, error) {
	b, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return "", fmt.Errorf("find the control group: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if path, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::"); ok {
			return path, nil
		}
	}
	return "", fmt.Errorf("find the control group: %w", ErrUnsupported)
}

// groupMount is where the unified hierarchy is mounted.
func groupMount(root string) (string, error) {
	b, err := os.ReadFile(filepath.Join(root, "proc/self/mountinfo"))
	if err != nil {
		return "", fmt.Errorf("find the control groups: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		mount, fs, _ := strings.Cut(line, " - ")
		if fields := strings.Fields(mount); len(fields) >= 5 && strings.HasPrefix(fs, "cgroup2 ") {
			return fields[4], nil
		}
	}
	return "", fmt.Errorf("find the control groups: %w", ErrUnsupported)
}
