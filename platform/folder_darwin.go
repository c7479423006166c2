package platform

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// chooseScript gets its title as an argument: what it says is no script.
const chooseScript = `on run argv
	activate
	POSIX path of (choose folder with prompt (item -1 of argv))
end run`

func chooseFolder(ctx context.Context, title string) (string, error) {
	program, err := exec.LookPath("osascript")
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoChooser, err)
	}
	path, complaints, code, err := runChooser(ctx, program, "-e", chooseScript, "--", title)
	switch {
	case err != nil:
		return "", err
	case code == 0 && path != "":
		return path, nil
	case strings.Contains(complaints, "(-128)"): // userCanceledErr
		return "", ErrCanceled
	}
	return "", fmt.Errorf("%w: %w", ErrNoChooser, chooserFailed("osascript", complaints, code))
}
