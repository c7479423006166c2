package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"sharetray/agentcore"
	"sharetray/agentcore/control"
	"sharetray/agentcore/problem"
	"sharetray/platform"
)

const (
	startTime     = 20 * time.Second       // for an agent to answer
	startPoll     = 10 * time.Millisecond  // between two questions whether it does
	otherTime     = 500 * time.Millisecond // for another agent to answer, before one is started again
	agentLogLimit = 1 << 20                // bytes; a larger log is put aside at the next start
)

// runningClient returns a client of the agent, which it starts if none runs.
func (a *app) runningClient(ctx context.Context) (*control.Client, error) {
	paths, err := a.paths()
	if err != nil {
		return nil, err
	}
	client := control.Dial(paths)
	if _, err = client.Info(ctx); !needsAgent(err) {
		return client, err
	}
	return client, a.startAgent(ctx, paths, client)
}

// needsAgent reports whether err is there because no agent is, or not for long.
func needsAgent(err error) bool {
	return platform.IsNobodyThere(err) || errors.Is(err, control.ErrEnding)
}

// startAgent starts an agent in the background and waits until it, or one that
// was started at the same moment, answers.
func (a *app) startAgent(ctx context.Context, paths agentcore.Paths, client *control.Client) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTime, problem.New(problem.Unavailable,
		"the agent was started but does not answer: what it says is in %s", paths.AgentLog))
	defer cancel()
	for {
		exited, log, err := a.spawn(paths)
		if err != nil {
			return err
		}
		var ended error
		up := answers(ctx, client, func() bool {
			select {
			case ended = <-exited:
				return true
			default:
				return false
			}
		})
		var status *exec.ExitError
		switch {
		case up:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !errors.As(ended, &status) || status.ExitCode() != otherAgent:
			return &problem.Problem{Code: problem.Conflict, Sentence: "the agent did not start: " + lastWords(log, paths.AgentLog), Err: ended}
		}
		// Another agent has the lock: it is coming up, or on its way out.
		until := time.Now().Add(otherTime)
		if answers(ctx, client, func() bool { return time.Now().After(until) }) {
			return nil
		}
	}
}

// answers asks until the agent answers, or giveUp or the end of ctx says that it won't.
func answers(ctx context.Context, client *control.Client, giveUp func() bool) bool {
	tick := time.NewTicker(startPoll)
	defer tick.Stop()
	for {
		last := giveUp()
		if _, err := client.Info(ctx); err == nil {
			return true
		}
		if last {
			return false
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
}

// spawn starts the agent's process, which writes to its log from offset log on.
func (a *app) spawn(paths agentcore.Paths) (exited <-chan error, log int64, err error) {
	if err := platform.PrivateDir(paths.State); err != nil {
		return nil, 0, problem.New(problem.Conflict, "the agent's folder can't be made: %w", err)
	}
	f, size, err := openLog(paths.AgentLog)
	if err != nil {
		return nil, 0, problem.New(problem.Conflict, "the agent's log can't be written: %w", err)
	}
	defer f.Close()
	cmd := exec.Command(a.env.Exe, paths.AgentArgs()...)
	cmd.Dir = paths.State // not a folder that somebody wants to unmount or delete
	cmd.Stdout, cmd.Stderr = f, f
	if err := platform.StartDetached(cmd); err != nil {
		return nil, 0, problem.New(problem.Internal, "the agent can't be started: %w", err)
	}
	ch := make(chan error, 1)
	go func() { ch <- cmd.Wait() }()
	return ch, size, nil
}

func openLog(path string) (f *os.File, size int64, err error) {
	if fi, err := os.Stat(path); err == nil && fi.Size() > agentLogLimit {
		_ = os.Rename(path, path+".old") // failing that, it grows a little more
	}
	f, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, 0, err
	}
	fi, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, fi.Size(), nil
}

// lastWords is the sentence with which the agent ended.
func lastWords(log int64, path string) string {
	f, err := os.Open(path)
	if err == nil {
		defer f.Close()
		if data, err := io.ReadAll(io.NewSectionReader(f, log, agentLogLimit)); err == nil {
			if i := bytes.LastIndex(data, []byte("sharetray: ")); i >= 0 {
				first, _, _ := strings.Cut(string(data[i:]), "\n")
				return strings.TrimPrefix(first, "sharetray: ")
			}
		}
	}
	return fmt.Sprintf("what it says is in %s", path)
}
