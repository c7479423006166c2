package platform

import (
	"context"
	"errors"
	"os/exec"
	"time"
)

func listening(ctx context.Context) ([]Serving, error) {
	program, err := exec.LookPath("lsof")
	if err != nil {
		program = "/usr/sbin/lsof" // which a program that the desktop starts may not have on its PATH
	}
	cmd := exec.CommandContext(ctx, program, lsofArgs...)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil && exit.ExitCode() == 1 {
		err = nil // it found nothing, or not all of what it looked for
	}
	if err != nil {
		return nil, err
	}
	return parseLsof(string(out)), nil
}
