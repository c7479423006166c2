package process

import (
	"context"
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sharetray/agentcore/link"
	"sharetray/platform"
)

// TestNoDescriptorForAnAgent: a process that can't let an agent in, because it
// has as many files open as it may, does so as soon as it can.
func TestNoDescriptorForAnAgent(t *testing.T) {
	t.Parallel()
	c := orphan(t, link.Orphan{Lease: forEver})
	pid := c.proc.Cmd.Process.Pid
	var before unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1, Max: before.Max}, nil); err != nil {
		t.Fatal(err)
	}
	conn, life, err := platform.FindChild(c.path)
	if err != nil {
		t.Fatal(err)
	}
	defer life.Close()
	a := link.New(conn, func(link.Message, []*platform.Socket) *link.Message { return nil })
	defer a.Close()
	ask := func(limit time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		_, err := a.Ask(ctx, link.Message{Type: link.TypeHello, Hello: &link.Hello{Protocol: link.Protocol}})
		return err
	}
	if err := ask(3 * acceptAgain); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("without a descriptor: %v", err)
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &before, nil); err != nil {
		t.Fatal(err)
	}
	if err := ask(patience); err != nil {
		t.Errorf("with descriptors again: %v", err)
	}
}
