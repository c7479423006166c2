// Package assets holds the files that are built into the program. It must not
// know how they are used.
package assets

import (
	"embed"
	"runtime"
)

//go:generate go run ./gen

//go:embed icons/*.png icons/*.ico
var files embed.FS

// State is what an icon tells.
type State string

const (
	Well    State = "well"    // everything that should be up is up
	Working State = "working" // something is starting, stopping or being restarted
	Trouble State = "trouble" // something needs the user
	Nothing State = "nothing" // nothing is shared
)

// States lists every state.
var States = []State{Well, Working, Trouble, Nothing}

// Icon returns the tray icon for a state, in the format this system's tray
// takes: ICO with all sizes on Windows, PNG elsewhere.
func Icon(s State) []byte {
	if runtime.GOOS == "windows" {
		return read("icons/" + string(s) + ".ico")
	}
	return PNG(s, 48)
}

// PNG returns a state's picture at 16, 22, 32, 48 or 64 pixels; nil at others.
func PNG(s State, size int) []byte {
	name := map[int]string{16: "16", 22: "22", 32: "32", 48: "48", 64: "64"}[size]
	return read("icons/" + string(s) + "-" + name + ".png")
}

func read(name string) []byte {
	b, err := files.ReadFile(name)
	if err != nil {
		return nil
	}
	return b
}
