//go:build !race

package tray

// raceDetector is not in this program.
const raceDetector = false
