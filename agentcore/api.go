package agentcore

import "time"

// NewShare is what Add needs to know. Values not given take their defaults.
type NewShare struct {
	Name   string            `json:"name"` // empty: one is made from the target
	Kind   string            `json:"kind"`
	Target string            `json:"target"`
	Keys   map[string]string `json:"keys,omitempty"` // further keys, as `set` takes them: port, reach, …
}

// Info says which agent this is.
type Info struct {
	Version string    `json:"version"`
	Profile string    `json:"profile"` // "" is the default one
	PID     int       `json:"pid"`
	Since   time.Time `json:"since"`
	Config  string    `json:"config"` // the folder of its shares and settings
	State   string    `json:"state"`  // the folder of its logs and records
	// Outdated: the program that this agent was started from is another one by
	// now, so that an upgrade makes sense.
	Outdated bool     `json:"outdated"`
	Upgrade  *Upgrade `json:"upgrade,omitempty"` // the last one that this agent was part of
}
