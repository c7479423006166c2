//go:build race

package tray

// raceDetector: everything takes several times as long.
const raceDetector = true
