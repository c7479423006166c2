// Package supervise owns the life of one share: a pure step function that says
// what follows from what happened, and a loop that does it, with real processes,
// sockets and clocks.
//
// It must not know about the other shares, about files on disk, or about how a
// state is shown.
package supervise

// Phase is the state of a share that a user sees.
type Phase string

const (
	Starting  Phase = "starting"  // a process is being made ready
	Ready     Phase = "ready"     // a request through its real address was answered
	Unhealthy Phase = "unhealthy" // it answers, or should, but something is wrong: see Trouble
	Backoff   Phase = "backoff"   // waiting before the next try
	Stopping  Phase = "stopping"  // finishing what is in flight
	Stopped   Phase = "stopped"   // the user stopped it
	Failed    Phase = "failed"    // given up; a start resumes it
	Invalid   Phase = "invalid"   // its file can't be used
)

// Phases lists every phase, in the order of the table in table.go.
var Phases = []Phase{Invalid, Stopped, Starting, Ready, Unhealthy, Backoff, Stopping, Failed}

// Trouble says what is at fault when a share is not well.
type Trouble string

const (
	NoTrouble      Trouble = ""
	TargetTrouble  Trouble = "target"  // the folder is gone, the app behind it is down
	ProcessTrouble Trouble = "process" // the share process is at fault
	PortTrouble    Trouble = "port"    // its port can't be had
	ConfigTrouble  Trouble = "config"  // what is declared can't work
	LimitTrouble   Trouble = "limit"   // it has reached a limit of its own
	EndTrouble     Trouble = "expired" // it has come to the end that was set for it
)
