package platform

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
)

// ErrCanceled is what ChooseFolder returns when the user chose none.
var ErrCanceled = errors.New("no folder was chosen")

// ErrNoChooser is wrapped when this system has nothing that lets the user choose
// a folder, or nothing that works.
var ErrNoChooser = errors.New("this desktop has no window for choosing a folder")

// ChooseFolder lets the user choose a folder in the system's own window, and
// returns its full path. It waits for the user; when ctx ends it takes the window
// away.
func ChooseFolder(ctx context.Context, title string) (string, error) {
	path, err := chooseFolder(ctx, printable(title, false))
	switch {
	case err != nil && ctx.Err() != nil:
		return "", fmt.Errorf("choose a folder: %w", context.Cause(ctx))
	case errors.Is(err, ErrCanceled):
		return "", err
	case err != nil:
		return "", fmt.Errorf("choose a folder: %w", err)
	case !filepath.IsAbs(path):
		return "", fmt.Errorf("choose a folder: the window gave %q, which is no full path", path)
	}
	return filepath.Clean(path), nil
}
