//go:build !windows

package platform

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// openPatience is how long an opener may take to say that it failed. One that
// still runs then may be the browser itself.
const openPatience = 2 * time.Second

func openURL(ctx context.Context, address string) error {
	for _, opener := range openers {
		path, err := exec.LookPath(opener[0])
		if err != nil {
			continue
		}
		return startOpener(ctx, path, append(opener[1:len(opener):len(opener)], address)...)
	}
	return errors.New("no program to open links is installed (" + openerHint + ")")
}

// startOpener runs the program in a session of its own, so that a browser
// outlives the agent. ctx ends the waiting, not the browser.
func startOpener(ctx context.Context, path string, args ...string) error {
	cmd := exec.Command(path, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // reaps it, however late
	timer := time.NewTimer(openPatience)
	defer timer.Stop()
	select {
	case err := <-ended:
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil
}
