// Package link is the channel between the agent and one share process: small
// framed messages, with listening sockets handed over on them.
//
// It must not know what either side does with a message: supervise speaks one
// end of it, process the other.
package link

import (
	"time"

	"sharetray/agentcore/share"
)

// Protocol is the version of what is said on a link. Both sides name theirs in
// Hello; a side refuses a version that it does not know.
const Protocol = 1

// Type says what a message is.
type Type string

const (
	TypeHello  Type = "hello"  // first on every connection, answered by hello
	TypeServe  Type = "serve"  // be this share, on the sockets that come along; answered by ok or a refusal
	TypeUnhold Type = "unhold" // forget what was served with Hold, and let the sockets go
	TypePause  Type = "pause"  // stop accepting, go on serving what is open
	TypeResume Type = "resume" // accept again
	TypePing   Type = "ping"   // answered by a message with Health
	TypeHealth Type = "health" // the answer to ping; also sent unasked when Target changes
	TypeOK     Type = "ok"     // done
	TypeRefuse Type = "refuse" // not done: Refusal says why
)

// Message is one thing said on a link. Which of the parts is set follows from
// its type.
type Message struct {
	ID      uint64   `json:"id,omitempty"` // names a question, and the answer to it
	Answer  bool     `json:"answer,omitempty"`
	Type    Type     `json:"type"`
	Hello   *Hello   `json:"hello,omitempty"`
	Serve   *Serve   `json:"serve,omitempty"`
	Health  *Health  `json:"health,omitempty"`
	Refusal *Refusal `json:"refusal,omitempty"`
}

// Hello introduces one side to the other.
type Hello struct {
	Protocol int    `json:"protocol"`
	Version  string `json:"version"` // of the program
	PID      int    `json:"pid,omitempty"`
	// Nonce names one share process for life. The agent gives it in the first
	// hello; the process shows it in each answer to a probe and in every later
	// hello, which proves that it is no other.
	Nonce string `json:"nonce"`
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
}

// Log places and bounds a share's log.
type Log struct {
	Path     string `json:"path"`
	MaxBytes int64  `json:"max_bytes"` // per file
	Keep     int    `json:"keep"`      // older files kept beside it
}

// Health is what a share process says of itself and of what stands behind it.
type Health struct {
	// TargetError says, as a sentence for the user, why the target can't be
	// served: the folder is gone, the app is down. Empty: it can.
	TargetError string        `json:"target_error,omitempty"`
	Active      int           `json:"active"`   // requests and upgraded connections in flight
	Requests    uint64        `json:"requests"` // since the process began to serve
	Uptime      time.Duration `json:"uptime_ns"`
}

// Refusal says why something was not done.
type Refusal struct {
	Sentence string `json:"sentence"`
	// Permanent: trying again will not mend it; the configuration is at fault.
	Permanent bool `json:"permanent,omitempty"`
}

// ProbeHeader carries the secret of a probe; NonceHeader the answer to it.
const (
	ProbeHeader = "Sharetray-Probe"
	NonceHeader = "Sharetray-Nonce"
)

// ExitConfig is the exit code by which a share process says that its
// configuration is at fault (EX_CONFIG of sysexits.h).
const ExitConfig = 78
