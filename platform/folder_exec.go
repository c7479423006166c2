//go:build unix

package platform

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// runChooser runs a program that lets the user choose and then prints what. ctx
// ends the program, and what it has started.
func runChooser(ctx context.Context, program string, args ...string) (stdout, stderr string, code int, err error) {
	cmd := exec.CommandContext(ctx, program, args...)
	GroupProgram(cmd)
	cmd.Cancel = func() error { return StopProgram(cmd.Process.Pid, nil, true) }
	cmd.WaitDelay = time.Second
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code, err = exit.ExitCode(), nil
	}
	if err == nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return strings.TrimSuffix(out.String(), "\n"), complaints.String(), code, err
}

// chooserFailed is what is said of a chooser that ended without a choice: the
// last line that it complained.
func chooserFailed(program, complaints string, code int) error {
	lines := strings.Split(strings.TrimSpace(complaints), "\n")
	last := printable(lines[len(lines)-1], false)
	return fmt.Errorf("%s: exit code %d: %.200s", program, code, last)
}
