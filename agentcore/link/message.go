// Package link is the channel between the agent and one share process: small
// framed messages, with listening sockets handed over on them.
//
// It must not know what either side does with a message: supervise speaks one
// end of it, process the other.
package link

import (
	"fmt"
	"net/netip"
	"time"

	"sharetray/agentcore/share"
	"sharetray/platform"
)

// Protocol is the newest version of what is said on a link that this program
// speaks. The agent names its own in hello, the process answers with the lower
// one of both, and that is spoken. Within a version only what may be ignored is
// added: fields that are not known are, messages that are not known are refused.
// OldestProtocol is the oldest that it still speaks.
const (
	Protocol       = 1
	OldestProtocol = 1
)

// Type says what a message is.
type Type string

const (
	TypeHello  Type = "hello"  // first on every connection, answered by hello with Role
	TypeServe  Type = "serve"  // be this share, on the sockets that come along; answered by ok or a refusal
	TypeAdopt  Type = "adopt"  // said by another agent than the one before: answered by a message with Role, and the sockets
	TypeTaken  Type = "taken"  // the process's last word to an agent: another one has adopted it
	TypeUnhold Type = "unhold" // forget what was served with Hold, and let the sockets go
	TypePause  Type = "pause"  // stop accepting, go on serving what is open
	TypeResume Type = "resume" // accept again
	TypeExpect Type = "expect" // a probe comes from Source: answer it with the nonce; for what is not HTTP
	TypePing   Type = "ping"   // answered by a message with Health
	TypeGuests Type = "guests" // answered by a message with Guests
	TypeHealth Type = "health" // the answer to ping; also sent unasked when Target changes
	TypeDone   Type = "done"   // sent unasked: Visit tells what a visitor has done
	TypeOK     Type = "ok"     // done
	TypeRefuse Type = "refuse" // not done: Refusal says why
)

// Message is one thing said on a link. Which of the parts is set follows from
// its type.
type Message struct {
	ID      uint64    `json:"id,omitempty"` // names a question, and the answer to it
	Answer  bool      `json:"answer,omitempty"`
	Type    Type      `json:"type"`
	Hello   *Hello    `json:"hello,omitempty"`
	Serve   *Serve    `json:"serve,omitempty"`
	Health  *Health   `json:"health,omitempty"`
	Refusal *Refusal  `json:"refusal,omitempty"`
	Role    *Role     `json:"role,omitempty"`
	Guests  []Visitor `json:"guests,omitempty"`
	// Listen comes with ok to serve: the ports that are used besides the share's.
	Listen []uint16       `json:"listen,omitempty"`
	Source netip.AddrPort `json:"source,omitzero"`
	Visit  *Visit         `json:"visit,omitempty"`

	// Sockets come with an answer: they belong to who asked. In what a handler
	// returns they belong to the link, which closes them once they are sent.
	Sockets []*platform.Socket `json:"-"`
}

// Hello introduces one side to the other.
type Hello struct {
	Protocol int    `json:"protocol"`
	Version  string `json:"version"` // of the program
	// Image names the very file that the process runs (platform.ImageID): two
	// builds may have one version. "" is not known.
	Image string `json:"image,omitempty"`
	PID   int    `json:"pid,omitempty"`
	// Nonce names one share process for life. The agent that starts the process
	// gives it in the first hello, and is its agent from then on. A hello without
	// one only asks who is there. The process shows it in each answer to a probe
	// and to a hello, which proves that it is no other.
	Nonce string `json:"nonce"`
	// Standby: no share waits for the process yet. It may warm up.
	Standby bool `json:"standby,omitempty"`
}

// Duty is what a share process is at.
type Duty string

const (
	Idle     Duty = "idle"     // it waits for a share, or rehearses one
	Serves   Duty = "serves"   // it is the share
	Draining Duty = "draining" // it was asked to end, and finishes what is in flight
)

// Role is what a share process says of itself in its answer to hello and adopt.
type Role struct {
	Duty  Duty   `json:"duty"`
	Serve *Serve `json:"serve,omitempty"` // what it was told, unless it is idle
	// Order tells which of two processes of one share began to serve later: it
	// counts the nanoseconds of the system's steady clock.
	Order time.Duration `json:"order,omitempty"`
	// Alone: it has no agent, as far as it knows.
	Alone bool `json:"alone,omitempty"`
}

// Serve tells a share process which share to be. It is said once in its life,
// or again while it holds.
type Serve struct {
	// Hold: make ready, but accept nothing and write no log before resume. Until
	// then the process may be told to serve something else.
	Hold  bool        `json:"hold,omitempty"`
	Share share.Share `json:"share"`
	// Probe is the secret that a readiness or health request carries, so that
	// nobody else can ask for the nonce.
	Probe string `json:"probe"`
	// Log is where the process keeps its log, and how much of it.
	Log Log `json:"log"`
	// Records is the folder in which the process leaves its record, so that
	// another agent finds it. Empty: nowhere.
	Records string `json:"records,omitempty"`
	// Authority is the folder of this computer's own certificate authority.
	Authority string `json:"authority,omitempty"`
	// Orphan says what the process does when its agent is gone.
	Orphan Orphan `json:"orphan"`
}

// Orphan says what a share process does when its agent is gone: it goes on
// serving for as long as Lease, and tries to start an agent. The zero value
// means that it finishes what is in flight and ends.
type Orphan struct {
	Lease time.Duration `json:"lease_ns,omitempty"`
	// Exe and Args start an agent. No Exe: none is started.
	Exe  string   `json:"exe,omitempty"`
	Args []string `json:"args,omitempty"`
	// Lock is the lock that an agent holds as long as it lives; Revive is the file
	// whose lock decides which of the processes starts one, and which counts how
	// often that was done.
	Lock   string `json:"lock,omitempty"`
	Revive string `json:"revive,omitempty"`
}

// Log places and bounds a share's log.
type Log struct {
	Path     string `json:"path"`      // empty: nowhere
	MaxBytes int64  `json:"max_bytes"` // per file
	Keep     int    `json:"keep"`      // older files kept beside it
}

// Health is what a share process says of itself and of what stands behind it.
type Health struct {
	// TargetError says, as a sentence for the user, why the target can't be
	// served: the folder is gone, the app is down. Empty: it can.
	TargetError string `json:"target_error,omitempty"`
	Use
	Uptime time.Duration `json:"uptime_ns"`
	// Expired says, as a sentence, that the share has come to the end that its
	// user has set. Link is one that the target has made of its own.
	Expired string `json:"expired,omitempty"`
	Link    string `json:"link,omitempty"`
	// Excess says, as a sentence, which limit the process is past: it must be
	// replaced. Full says which one it has reached, so that visitors wait. Limits
	// says of each limit by which means it is in force.
	Excess string   `json:"excess,omitempty"`
	Full   string   `json:"full,omitempty"`
	Limits []string `json:"limits,omitempty"`
}

// Use is how much a share is used: of a process, since it began to serve.
type Use struct {
	Present  int    `json:"visitors_now"` // addresses that are served at the moment; of what is not HTTP, connections
	Active   int    `json:"active"`       // requests, upgraded connections and sessions in flight
	Requests uint64 `json:"requests"`     // or connections, or sessions
	BytesIn  uint64 `json:"bytes_in"`     // from visitors, without what is said around it
	BytesOut uint64 `json:"bytes_out"`    // to them
}

// Add counts another process's use, too.
func (u Use) Add(v Use) Use {
	return Use{u.Present + v.Present, u.Active + v.Active, u.Requests + v.Requests, u.BytesIn + v.BytesIn, u.BytesOut + v.BytesOut}
}

// Visitor is who visits a share from one address.
type Visitor struct {
	Addr     string    `json:"addr"`
	User     string    `json:"user,omitempty"`
	Agent    string    `json:"agent,omitempty"` // what it calls itself
	Path     string    `json:"path,omitempty"`  // the last one
	Requests uint64    `json:"requests"`
	BytesIn  uint64    `json:"bytes_in"`
	BytesOut uint64    `json:"bytes_out"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
}

// String is a line about the visitor.
func (v Visitor) String() string {
	who := v.Addr
	if v.User != "" {
		who = v.User + " at " + who
	}
	return fmt.Sprintf("%s, %d requests, last %s at %s, %s", who, v.Requests, v.Path, v.Last.Local().Format("15:04:05"), v.Agent)
}

// Visit is something that a visitor has done.
type Visit struct {
	What  string `json:"what"` // one of share.Visits
	Addr  string `json:"addr"`
	User  string `json:"user,omitempty"`
	Path  string `json:"path,omitempty"`
	Bytes uint64 `json:"bytes,omitempty"`
}

// Refusal says why something was not done.
type Refusal struct {
	Sentence string `json:"sentence"`
	// Permanent: trying again will not mend it; the configuration is at fault.
	Permanent bool `json:"permanent,omitempty"`
	// Listen are ports for which sockets are missing: serve again, with them.
	Listen []uint16 `json:"listen,omitempty"`
}

// ProcessEnv is what share processes have besides their agent's environment.
// A process that initialises has next to no garbage to collect: without that it
// starts in two thirds of the time. It turns the collector on by itself. And Caddy
// would report to the service manager that started the agent.
var ProcessEnv = []string{"GOGC=off", "NOTIFY_SOCKET="}

// ProgramVariable is in the environment of what a share process runs: as
// "MARK:PID:START", the share's mark, and which process has started it
// (platform.ProcessStart). What carries it when that process is dead is left over.
const ProgramVariable = "SHARETRAY_COMMAND"

// ProbeHeader carries the secret of a probe; NonceHeader the answer to it.
const (
	ProbeHeader = "Sharetray-Probe"
	NonceHeader = "Sharetray-Nonce"
)

// ExitConfig is the exit code by which a share process says that its
// configuration is at fault (EX_CONFIG of sysexits.h).
const ExitConfig = 78

// DashboardCookie begins the name of the cookie that opens the agent's dashboard,
// which is nothing for shares.
const DashboardCookie = "sharetray-dashboard-"
