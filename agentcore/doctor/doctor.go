// Package doctor finds out what keeps an agent from doing well, and what earlier
// ones have left behind. Looking (Look), judging (Judge) and mending (Mend) are
// apart: judging is pure, looking changes nothing, and mending looks again before
// it touches anything.
//
// It must not know how an agent is asked, nor how findings are shown. It never
// touches what it can't prove to be this user's and this profile's.
package doctor

import (
	"time"

	"sharetray/agentcore"
	"sharetray/agentcore/adopt"
	"sharetray/agentcore/store"
	"sharetray/platform"
)

// Check is what a finding is about.
type Check string

const (
	CheckAgent     Check = "agent"
	CheckSettings  Check = "settings"
	CheckShares    Check = "shares"
	CheckPorts     Check = "ports"
	CheckFolders   Check = "folders"
	CheckDisk      Check = "disk"
	CheckDesktop   Check = "desktop"
	CheckProcesses Check = "processes"
	CheckLeftovers Check = "leftovers"
)

// State is how bad a finding is.
type State string

const (
	OK      State = "ok"
	Mended  State = "mended"
	Info    State = "info"    // worth knowing, and no fault
	Problem State = "problem" // it remains
)

// Finding is one thing that was found, in a sentence that says what to do.
type Finding struct {
	Check    Check  `json:"check"`
	State    State  `json:"state"`
	Sentence string `json:"sentence"`
	remedy   remedy
}

// remedy is how a finding can be mended; the zero value is that it can't be.
type remedy struct {
	act     act
	path    string
	process *Process
}

type act string

const (
	remove act = "remove" // a file
	empty  act = "empty"  // a folder of logs, and the folder itself
	forget act = "forget" // what a process that has ended has left
	vacate act = "vacate" // the runtime folder of an agent that has ended
	end    act = "end"    // a process that nobody wants
)

// Facts are all that is judged.
type Facts struct {
	Version     string // of this program
	Agent       Agent
	RuntimeDir  string
	NoRuntime   error  // why there is no runtime folder
	AskedFor    string // the folder that XDG_RUNTIME_DIR names, which is not used; "" if it is
	NoSettings  error
	NoShares    error // the folder can't be read
	Shares      []store.Entry
	Ports       map[string]error // of shares that nobody serves: why their port can't be had
	Unwritable  map[string]error // folders
	Disks       []Disk
	Things      []Thing
	Processes   []Process
	Desktop     platform.Desktop
	DesktopSeen bool
}

// Agent is what is known of the agent.
type Agent struct {
	Runs   bool // it answers
	Lives  bool // it has its lock, be it that it does not answer
	PID    int  // 0 if it is not known
	Info   agentcore.Info
	Shares []agentcore.Status
}

// Disk is the room on the disk of a folder.
type Disk struct {
	Path string
	Free uint64 // bytes
}

// Kind is what a thing in one of the folders should be, by its place and name.
type Kind string

const (
	Sock      Kind = "socket"
	Record    Kind = "record"
	Temporary Kind = "temporary file"
	Logs      Kind = "log"
	History   Kind = "history"
	Runtime   Kind = "runtime" // the lock and what else an agent itself has in the runtime folder
	Unknown   Kind = "unknown"
)

// Thing is a file or folder in one of the agent's folders.
type Thing struct {
	Path  string
	Kind  Kind
	Odd   string // why it is not what it should be, or not this user's; "" if it is
	Newer bool   // a newer version has written it
	Share string // of Logs and History
	Age   time.Duration
}

// Process is a share process, or what one has left.
type Process struct {
	adopt.Candidate
	PID   int
	Alone bool     // it says that it has no agent
	Lives bool     // nobody answers, and its record names a process that runs
	Fresh bool     // a moment ago it was not so: nothing is done about it
	Left  []string // what there is of its link, its lifeline and its record
}
