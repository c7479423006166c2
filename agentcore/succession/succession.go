// Package succession is what two agents say to each other when one makes room
// for the other: the old one starts the new one, which proves that it can be an
// agent before anything is changed. Then the old one lets go, the new one takes
// over, and the old one stays until it hears that all went well.
//
// It must not know how an agent lets go or takes over.
package succession

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"sharetray/agentcore/failpoint"
	"sharetray/agentcore/problem"
	"sharetray/platform"
)

// How long the old agent waits for the new one to say something.
var (
	proveTime = failpoint.Time("prove", 30*time.Second) // that it can be an agent
	takeTime  = failpoint.Time("take", 60*time.Second)  // that it has taken over, or a step further since
	endTime   = 10 * time.Second                        // to end once it has said that it failed
)

// word is what is said, one JSON object after the other.
type word struct {
	Say     string `json:"say"`
	Version string `json:"version,omitempty"` // of who says it
	Reason  string `json:"reason,omitempty"`
}

const (
	ready  = "ready"  // new: it can be an agent
	goOn   = "go"     // old: it has let go
	moved  = "moved"  // new: it is a step further
	done   = "done"   // new: all went well
	failed = "failed" // new: it has let go again; also instead of ready
)

// Past is what a new agent is told of the one before.
type Past struct {
	Version string // of its program
	Failure string // why it did not last, and the program before it is to come back; "" mostly
}

// Heir is the new agent as the old one sees it.
type Heir struct {
	Version string
	PID     int

	words chan word // closed when it says nothing more
	conn  net.Conn
	cmd   *exec.Cmd
	ended chan error
}

// Start starts exe as the new agent and returns when it has proved itself. On an
// error it has ended, and nothing was changed; the error is a Problem.
func Start(exe string, args []string, stderr *os.File) (*Heir, error) {
	cmd := exec.Command(exe, args...)
	cmd.Dir = "/"
	if stderr != nil { // a nil *os.File in an interface is not nil
		cmd.Stdout, cmd.Stderr = stderr, stderr
	}
	conn, err := platform.StartPartner(cmd)
	switch {
	case platform.CannotRun(err):
		return nil, problem.New(problem.Conflict, "%s can't be run on this computer: it may be for another system or processor, or damaged (%w); nothing was changed", exe, bare(err))
	case errors.Is(err, fs.ErrPermission):
		return nil, problem.New(problem.Conflict, "%s may not be executed (%w): make it an executable file; nothing was changed", exe, bare(err))
	case err != nil:
		return nil, problem.New(problem.Conflict, "%s can't be started: %w; nothing was changed", exe, bare(err))
	}
	h := &Heir{PID: cmd.Process.Pid, conn: conn, cmd: cmd, words: make(chan word), ended: make(chan error, 1)}
	go h.read()
	go func() { h.ended <- cmd.Wait() }()
	w, err := h.next(proveTime)
	switch {
	case err == nil && w.Say == ready:
		h.Version = w.Version
		return h, nil
	case err == nil && w.Say == failed:
		h.end()
		return nil, problem.New(problem.Conflict, "the new program could not become the agent: %s; nothing was changed", w.Reason)
	case errors.Is(err, io.EOF):
		return nil, problem.New(problem.Conflict, "the new program ended before it was ready (%s); nothing was changed", h.end())
	case err == nil:
		err = fmt.Errorf("it said %q", w.Say)
	}
	h.Abandon()
	return nil, problem.New(problem.Conflict, "the new program did not become ready in %v, and was ended (%w); nothing was changed", proveTime, err)
}

// bare is what the system says, without what was tried.
func bare(err error) error {
	var no syscall.Errno
	if errors.As(err, &no) {
		return no
	}
	return err
}

func (h *Heir) read() {
	defer close(h.words)
	for dec := json.NewDecoder(h.conn); ; {
		var w word
		if dec.Decode(&w) != nil {
			return
		}
		h.words <- w
	}
}

func (h *Heir) next(patience time.Duration) (word, error) {
	select {
	case w, open := <-h.words:
		if !open {
			return w, io.EOF
		}
		return w, nil
	case <-time.After(patience):
		return word{}, fmt.Errorf("it said nothing for %v", patience)
	}
}

// end makes sure that the new agent has ended, and says how.
func (h *Heir) end() string {
	defer h.conn.Close()
	go func() {
		for range h.words { // so that read ends
		}
	}()
	select {
	case <-h.ended:
	case <-time.After(endTime):
		_ = h.cmd.Process.Kill()
		<-h.ended
	}
	return platform.ExitCause(h.cmd.ProcessState)
}

// Outlive lets the new agent go on and returns when all went well, or the reason
// why not: then the new agent has ended. When stop is closed, it returns at once.
// moved is called when the new one is a step further, which it first is when it
// has taken the place.
func (h *Heir) Outlive(past Past, stop <-chan struct{}, moved func()) (reason string) {
	if err := json.NewEncoder(h.conn).Encode(word{Say: goOn, Version: past.Version, Reason: past.Failure}); err != nil {
		return h.gone()
	}
	limit := time.NewTimer(takeTime)
	defer limit.Stop()
	for {
		select {
		case w, open := <-h.words:
			switch {
			case !open:
				return h.gone()
			case w.Say == done:
				return ""
			case w.Say == failed:
				h.end()
				return w.Reason
			}
			moved()
			limit.Reset(takeTime)
		case <-limit.C:
			h.Abandon()
			return fmt.Sprintf("the new agent hung, and was ended after %v", takeTime)
		case <-stop:
			return ""
		}
	}
}

func (h *Heir) gone() string { return "the new agent ended: " + h.end() }

// Abandon ends a new agent that was not told to go on.
func (h *Heir) Abandon() {
	_ = h.cmd.Process.Kill()
	h.end()
}

// Elder is the old agent as the new one sees it.
type Elder struct {
	conn net.Conn
	dec  *json.Decoder
	enc  *json.Encoder
}

// Partner is the old agent that has started this process.
func Partner() (*Elder, error) {
	conn, err := platform.Partner()
	if err != nil {
		return nil, err
	}
	return &Elder{conn, json.NewDecoder(conn), json.NewEncoder(conn)}, nil
}

// Ready says that this process can be an agent, and waits until it may.
func (e *Elder) Ready(version string) (Past, error) {
	if err := e.enc.Encode(word{Say: ready, Version: version}); err != nil {
		return Past{}, err
	}
	var w word
	if err := e.dec.Decode(&w); err != nil || w.Say != goOn {
		return Past{}, fmt.Errorf("the agent that started this one did not let go: %w", err)
	}
	return Past{w.Version, w.Reason}, nil
}

// Moved says that this process is a step further. It does not matter any more
// whether the old agent hears it.
func (e *Elder) Moved() { e.say(word{Say: moved}) }

// Done says that all went well.
func (e *Elder) Done() { e.say(word{Say: done}) }

// Failed says that this process is not the agent, or no longer, and why.
func (e *Elder) Failed(reason string) { e.say(word{Say: failed, Reason: reason}) }

// sayTime bounds how long an old agent that hangs can hold up the new one.
const sayTime = time.Second

func (e *Elder) say(w word) {
	_ = e.conn.SetWriteDeadline(time.Now().Add(sayTime))
	_ = e.enc.Encode(w)
}
