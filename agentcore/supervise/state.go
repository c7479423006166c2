package supervise

import (
	"time"

	"sharetray/agentcore/link"
	"sharetray/agentcore/policy"
)

// Policy holds the numbers of a share's life.
type Policy = policy.Policy

// crashWindow is how far back crashes are counted for "crashed 12 times in the
// last minute".
const crashWindow = time.Minute

// limitPause is the least time between two processes that are replaced because
// they are past a limit, and between two notices of one that visitors meet.
const limitPause = time.Minute

// How long it may take until an address is free that was let go of a moment ago:
// so many tries, with so long between two.
const (
	letGoTries = 10
	letGoPause = 50 * time.Millisecond
)

// Worker is a share process as the state machine sees it. ID 0 is none.
type Worker struct {
	ID      int
	Gen     int // of the declaration that it serves
	PID     int
	Version string    // of the program that it runs
	Stale   bool      // which is another one than this agent's
	Found   bool      // it was there before this agent, which has not taken it over yet
	Renew   bool      // a restart was asked for before it was taken over
	Doubt   bool      // it was taken over, and has not answered a visitor since
	Serving bool      // it has taken the sockets and is configured
	ReadyAt time.Time // zero: not yet
	Misses  int       // checks in a row that it did not answer

	Requests uint64    // that visitors have made of it, as far as is known
	UsedAt   time.Time // when it was last heard that they do
}

// Ghost is a process that had been ready and is dying: its memory takes the kernel
// a while, and its successor is often up before it is known how it ended.
type Ghost struct {
	Worker   int
	Downtime time.Duration // how long visitors waited for its successor; zero: they still do
}

// State is all that is known about one share's life. It is a value: step makes
// a new one. Slices in it are never changed in place.
type State struct {
	Phase   Phase
	Trouble Trouble
	Since   time.Time // when Phase was entered
	Reason  string    // why it is not well, as a sentence for the user
	Spoiled string    // why its file can't be used, while the last good one is still in force

	Gen       int // counts declarations that need a new process
	BoundGen  int // the one whose sockets are held; 0: none
	StopGrace time.Duration
	Cur       Worker // serves the share
	Next      Worker // is being made ready to take its place
	Olds      []int  // are finishing what is in flight, or being ended
	LastID    int

	Attempts    int         // bad starts in a row
	Restarts    int         // automatic ones
	Crashes     []time.Time // within crashWindow
	DownSince   time.Time   // since when visitors wait; zero: they don't
	Cause       string      // of that
	Ghosts      []Ghost     // those that vanished, in order, until it is known how they ended
	TargetError string      // what the process says of its target
	Excess      string      // which limit the process says that it is past
	Full        string      // which limit it says it has reached, so that visitors wait
	Limits      []string    // by which means it says its limits are kept
	Expired     string      // that it says that the share has come to its end
	EndTold     bool        // and that was told
	Link        string      // which its target has made of its own
	ExcessAt    time.Time   // when a process was last replaced because of Excess
	FullAt      time.Time   // when Full was last told
	PortError   string      // why the sockets of Gen can't be had while older ones serve
	PortTries   int         // how often they could not be had in a row
	RollError   string      // why what was declared or asked for last is not in force
	Again       bool        // start again once stopped
	Releasing   bool        // the sockets are being given up
	Final       bool        // removed once stopped
	blocked     bool        // Blocked was told
}

// View is the phase to show: that of the file, when it is spoiled.
func (s State) View() (Phase, Trouble, string) {
	if s.Spoiled != "" {
		return Invalid, ConfigTrouble, s.Spoiled
	}
	return s.Phase, s.Trouble, s.Reason
}

// RecentCrashes counts the crashes of the minute before now.
func (s State) RecentCrashes(now time.Time) int {
	n := 0
	for _, t := range s.Crashes {
		if now.Sub(t) < crashWindow {
			n++
		}
	}
	return n
}

// InForce reports whether a process serves what is declared now, and visitors
// reach it.
func (s State) InForce() bool {
	return (s.Phase == Ready || s.Phase == Unhealthy) && s.Cur.Gen == s.Gen && s.Next.ID == 0
}

// Kind says what an Event tells.
type Kind int

const (
	Start      Kind = iota // it is wanted
	Stop                   // it is not
	Declare                // what it is has changed, or is known for the first time
	Spoil                  // its file can't be used
	Restart                // the user wants a new process
	Bound                  // the sockets of Gen are held
	BindFailed             // they can't be had
	Serving                // the process has taken the sockets
	Refused                // there is no process, or it would not: it is gone
	Probed                 // a request through the real address was answered, or not
	Answered               // a ping was
	Silent                 // a ping was not
	Find                   // there is a process that is the share already
	Leftover               // there is one that was, and is to end
	Adopted                // the process that was found is this agent's, and so are its sockets
	Lost                   // it is about to end by itself
	Told                   // the process says how its target is
	Vanished               // the process is dying; Exited follows, and says how
	Exited                 // the process is gone
	NextServing
	NextRefused
	NextProbed
	NextExited
	OldExited
	RetryDue
	PingDue
	ProbeDue
	ForgetDue
	GraceOver
	Released // nobody holds the sockets any more but those who finish
	kinds    // how many there are
)

var kindNames = [kinds]string{"start", "stop", "declare", "spoil", "restart", "bound", "bind failed",
	"serving", "refused", "probed", "answered", "silent", "find", "leftover", "adopted", "lost", "told", "vanished", "exited",
	"next serving", "next refused", "next probed", "next exited", "old exited", "retry due", "ping due", "probe due", "forget due", "grace over", "released"}

func (k Kind) String() string { return kindNames[k] }

// Event is one thing that happened. Which fields are set follows from its kind.
type Event struct {
	Kind   Kind
	At     time.Time
	Worker int // whom it is about

	OK        bool          // Probed, Adopted; Leftover: it was asked to end already
	PID       int           // Serving, Find, Adopted
	Version   string        // Serving, Find, Adopted
	Restarts  int           // Find
	Stale     bool          // Adopted: it runs another program than this agent
	Age       time.Duration // Adopted: how long it has served
	Same      bool          // Adopted: what it serves is what is declared
	Health    *link.Health  // Probed, Answered, Told
	Reason    string        // Spoil, Find, BindFailed, Refused, Probed, Exited
	Permanent bool          // BindFailed, Refused, Exited: trying again will not mend it
	Blocked   bool          // Refused: a further port that it needs is somebody else's
	StopGrace time.Duration
	Roll      bool // Declare: the process must be replaced for it
	Final     bool // Stop: for good
}

// EffectKind says what an Effect asks for.
type EffectKind int

const (
	Bind    EffectKind = iota // hold the sockets of what is declared, besides those held; report Bound or BindFailed
	Trim                      // give up the sockets that what is declared does not need
	Release                   // give up all sockets; report Released
	Acquire                   // make Worker serve; report Serving, or Refused, and Exited in the end
	TakeIn                    // the process that was found is Worker; take it over if it is Cur: report Adopted or Lost, and Exited in the end
	Limit                     // GraceOver after After
	Unlimit                   // no GraceOver
	Probe                     // report Probed
	Swap                      // pause Cur, then probe Worker, report Probed
	Resume                    // take back the pause of Worker
	Ping                      // report Answered or Silent
	Quit                      // ask Worker to finish and exit; GraceOver after After
	Kill                      // end Worker and its descendants
	Timer                     // report Due after After; a timer of that kind that runs is replaced
	Cancel                    // forget the timer Due
	Tell                      // tell the agent Say
	Gone                      // the share is no more
)

var effectNames = [...]string{"bind", "trim", "release", "acquire", "take in", "limit", "unlimit", "probe", "swap", "resume",
	"ping", "quit", "kill", "timer", "cancel", "tell", "gone"}

func (k EffectKind) String() string { return effectNames[k] }

// Effect is one thing to do.
type Effect struct {
	Kind   EffectKind
	Worker int
	After  time.Duration
	Due    Kind
	Say    Notice
}

// NoticeKind says what a Notice tells.
type NoticeKind string

const (
	NoticeCrashed   NoticeKind = "crashed"
	NoticeRecovered NoticeKind = "recovered"
	NoticeFailed    NoticeKind = "failed"
	NoticeBlocked   NoticeKind = "blocked"
	NoticeLimited   NoticeKind = "limited"
	NoticeExpired   NoticeKind = "expired"
	NoticeAdopted   NoticeKind = "adopted" // not for the desktop: nobody noticed
)

// Notice is a thing worth telling people, besides the state itself.
type Notice struct {
	Kind     NoticeKind
	Cause    string
	Downtime time.Duration
}
