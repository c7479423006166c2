package platform

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// Copy puts text on the user's clipboard, by the program that the system has
// for it.
func Copy(ctx context.Context, text string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var failed error
	for _, program := range clipboardPrograms() {
		path, err := exec.LookPath(program[0])
		if err != nil {
			continue
		}
		cmd := exec.CommandContext(ctx, path, program[1:]...)
		cmd.Stdin = strings.NewReader(text)
		cmd.WaitDelay = time.Second
		if err := cmd.Run(); err == nil {
			return nil
		} else if failed == nil {
			failed = fmt.Errorf("copy: %s: %w", program[0], err)
		}
	}
	if failed != nil {
		return failed
	}
	return errors.New("copy: no program for the clipboard is installed (" + clipboardHint + ")")
}
