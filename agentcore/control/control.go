// Package control is the local API of an agent: HTTP over a socket that only
// its user can reach. The commands and the dashboard speak it.
//
// It must not know how shares are run (it asks an Agent) nor how answers are
// shown.
//
//	GET    /v1/agent                 agentcore.Info
//	GET    /v1/shares                every share's Status
//	POST   /v1/shares                add one: agentcore.NewShare
//	GET    /v1/shares/{name}         one share's Status
//	PATCH  /v1/shares/{name}         change it: {"key": "value", …}
//	DELETE /v1/shares/{name}         remove it
//	POST   /v1/shares/{name}/start   and /stop, /restart
//	GET    /v1/shares/{name}/log     plain bytes; ?n= lines, ?follow=1
//	GET    /v1/shares/{name}/history the last history.Entry of it, the newest last; ?n= of them
//	GET    /v1/events                lines of JSON, as long as one listens
//	POST   /v1/upgrade               replaces the agent: {"exe": path}, "" being its own; answers agentcore.Upgrade when the new one begins
//	POST   /v1/dashboard             an address that opens the dashboard once, soon: {"path": "/shares/NAME"}; answers {"url": …}
//	POST   /v1/quit                  ends the agent; the answer ends when it has
//
// An agent that is ending still tells about its shares, but does nothing more
// for them. One that leaves its shares to another agent answers nothing but
// Retry-After.
//
// An answer that is not a success is a JSON object of code and sentence, as
// package problem has them.
package control

import (
	"context"
	"errors"
	"net/http"

	"sharetray/agentcore"
	"sharetray/agentcore/history"
	"sharetray/agentcore/problem"
)

// Agent is what is controlled.
type Agent interface {
	Info() agentcore.Info
	List() []agentcore.Status
	Look(ctx context.Context, name string) (agentcore.Status, error)
	Add(context.Context, agentcore.NewShare) (agentcore.Status, error)
	Set(ctx context.Context, name string, changes map[string]string) (agentcore.Status, error)
	Start(ctx context.Context, name string) (agentcore.Status, error)
	Stop(ctx context.Context, name string) (agentcore.Status, error)
	Restart(ctx context.Context, name string) (agentcore.Status, error)
	Remove(ctx context.Context, name string) error
	LogPath(name string) (string, error)
	History(name string, n int) ([]history.Entry, error) // the last n, the newest last

	// Subscribe returns what is now and what happens from then on. The channel
	// of a reader that is too slow is closed.
	Subscribe() (now []agentcore.Status, events <-chan agentcore.Event, cancel func())

	// Upgrade has an agent of another program take over; "" is the file that this
	// one was started from.
	Upgrade(exe string) (agentcore.Upgrade, error)
	// Leaving reports whether another agent takes over.
	Leaving() bool

	// Dashboard returns an address that opens the page at path in a browser, once.
	Dashboard(ctx context.Context, path string) (url string, err error)

	// Quit begins the orderly end and returns at once.
	Quit()
	// Quitting is closed when the end has begun, whoever asked for it.
	Quitting() <-chan struct{}
}

// ErrEnding is wrapped by the error of what was asked of an agent that is on its
// way out. The next agent may be asked again.
var ErrEnding = errors.New("the agent is ending")

// maxBody bounds what a request may carry, in bytes.
const maxBody = 64 << 10

// maxLogLines bounds how many old lines of a log can be asked for.
const maxLogLines = 100_000

// maxHistory bounds how many entries of a history can be asked for: more than
// are kept.
const maxHistory = 10_000

// fault is a problem on its way to the client.
type fault struct {
	Code     problem.Code `json:"code"`
	Sentence string       `json:"sentence"`
}

// place is what POST /v1/dashboard carries, and answers.
type place struct {
	Path string `json:"path,omitempty"`
	URL  string `json:"url,omitempty"`
}

// newProgram is what POST /v1/upgrade carries.
type newProgram struct {
	Exe string `json:"exe"`
}

// line is one line of the event stream: a snapshot (the first line, and after
// events were missed), an event, or neither: a sign of life.
type line struct {
	Snapshot []agentcore.Status `json:"snapshot,omitzero"`
	Event    *agentcore.Event   `json:"event,omitempty"`
}

func httpStatus(code problem.Code) int {
	switch code {
	case problem.Invalid:
		return http.StatusBadRequest
	case problem.NotFound:
		return http.StatusNotFound
	case problem.Exists, problem.Conflict:
		return http.StatusConflict
	case problem.Unavailable:
		return http.StatusServiceUnavailable
	case problem.Unsupported:
		return http.StatusNotImplemented
	}
	return http.StatusInternalServerError
}
