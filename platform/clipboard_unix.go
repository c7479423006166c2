//go:build !windows && !darwin

package platform

import "os"

const clipboardHint = "wl-clipboard on Wayland, xclip or xsel on X11"

func clipboardPrograms() [][]string {
	var out [][]string
	if os.Getenv("WAYLAND_DISPLAY") != "" {
		out = append(out, []string{"wl-copy"})
	}
	if os.Getenv("DISPLAY") != "" {
		out = append(out, []string{"xclip", "-selection", "clipboard"}, []string{"xsel", "-ib"})
	}
	return out
}
