package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"sharetray/agentcore"
	"sharetray/agentcore/history"
	"sharetray/agentcore/problem"
	"sharetray/agentcore/rundir"
	"sharetray/platform"
)

// answerTime is how long an agent may take to say how things are.
const answerTime = 10 * time.Second

// tidyTime is how long an agent that ends may take to remove what it leaves.
const tidyTime = 2 * time.Second

// Client asks one agent over its control socket. Each request has a connection
// of its own, so there is nothing to close. Its errors are problems, or the
// context's own.
type Client struct {
	http *http.Client
	dir  string // the agent's folder
}

// Dial returns a client of the agent at these paths, which need not run yet.
func Dial(paths agentcore.Paths) *Client {
	return &Client{dir: filepath.Dir(paths.Control), http: &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives:  true,
			DisableCompression: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return platform.DialControl(ctx, paths.Control)
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Info says which agent runs.
func (c *Client) Info(ctx context.Context) (i agentcore.Info, err error) {
	return i, c.ask(ctx, "/v1/agent", &i)
}

// List returns every share.
func (c *Client) List(ctx context.Context) (list []agentcore.Status, err error) {
	return list, c.ask(ctx, "/v1/shares", &list)
}

// Get returns one share.
func (c *Client) Get(ctx context.Context, name string) (st agentcore.Status, err error) {
	path, err := sharePath(name, "")
	if err != nil {
		return st, err
	}
	return st, c.ask(ctx, path, &st)
}

// Add makes a share and waits until it is ready, or it is known why not.
func (c *Client) Add(ctx context.Context, n agentcore.NewShare) (st agentcore.Status, err error) {
	return st, c.call(ctx, http.MethodPost, "/v1/shares", n, &st)
}

// Set changes a share and waits until the changes are in force.
func (c *Client) Set(ctx context.Context, name string, changes map[string]string) (agentcore.Status, error) {
	return c.share(ctx, http.MethodPatch, name, "", changes)
}

// Start starts a share and waits until it is ready.
func (c *Client) Start(ctx context.Context, name string) (agentcore.Status, error) {
	return c.share(ctx, http.MethodPost, name, "/start", nil)
}

// Stop stops a share and waits until it has stopped.
func (c *Client) Stop(ctx context.Context, name string) (agentcore.Status, error) {
	return c.share(ctx, http.MethodPost, name, "/stop", nil)
}

// Restart replaces a share's process and waits until the new one is ready.
func (c *Client) Restart(ctx context.Context, name string) (agentcore.Status, error) {
	return c.share(ctx, http.MethodPost, name, "/restart", nil)
}

// Dashboard returns an address that opens the page at path in a browser, once, and
// soon.
func (c *Client) Dashboard(ctx context.Context, path string) (string, error) {
	var to place
	err := c.call(ctx, http.MethodPost, "/v1/dashboard", place{Path: path}, &to)
	return to.URL, err
}

// Remove stops a share and forgets it.
func (c *Client) Remove(ctx context.Context, name string) error {
	path, err := sharePath(name, "")
	if err != nil {
		return err
	}
	return c.call(ctx, http.MethodDelete, path, nil, nil)
}

// Log writes the last n lines of a share's log to w, and then what is added,
// if follow is set, until ctx ends or the agent does.
func (c *Client) Log(ctx context.Context, name string, n int, follow bool, w io.Writer) error {
	path, err := sharePath(name, "/log?n="+strconv.Itoa(n))
	if err != nil {
		return err
	}
	if follow {
		path += "&follow=1"
	}
	resp, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	broken := &brokenPipe{w: w}
	if _, err := io.Copy(broken, resp.Body); err != nil && broken.err == nil {
		return goneError(ctx, err)
	}
	return broken.err
}

// History returns the last n things that happened to a share, the newest last.
func (c *Client) History(ctx context.Context, name string, n int) (entries []history.Entry, err error) {
	path, err := sharePath(name, "/history?n="+strconv.Itoa(n))
	if err != nil {
		return nil, err
	}
	return entries, c.ask(ctx, path, &entries)
}

// Upgrade has an agent of the program exe take over, "" being the file that the
// agent was started from. How that ends is in its Info.
func (c *Client) Upgrade(ctx context.Context, exe string) (up agentcore.Upgrade, err error) {
	return up, c.call(ctx, http.MethodPost, "/v1/upgrade", newProgram{exe}, &up)
}

// Quit ends the agent and waits until it has ended.
func (c *Client) Quit(ctx context.Context) error {
	resp, err := c.do(ctx, http.MethodPost, "/v1/quit", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body) // however it ends, the agent answers nobody any more
	soon, cancel := context.WithTimeout(ctx, tidyTime)
	defer cancel()
	rundir.AwaitEnd(soon, c.dir)
	return ctx.Err()
}

func (c *Client) share(ctx context.Context, method, name, call string, body any) (st agentcore.Status, err error) {
	path, err := sharePath(name, call)
	if err != nil {
		return st, err
	}
	return st, c.call(ctx, method, path, body, &st)
}

// sharePath escapes the name whatever it is made of: a name that can't exist
// must come back as no such share, not as some other path.
func sharePath(name, call string) (string, error) {
	if name == "" {
		return "", problem.New(problem.Invalid, "a share's name can't be empty")
	}
	escaped := url.PathEscape(name)
	if name == "." || name == ".." {
		escaped = strings.ReplaceAll(name, ".", "%2E")
	}
	return "/v1/shares/" + escaped + call, nil
}

// ask is call for what an agent that is well answers at once.
func (c *Client) ask(ctx context.Context, path string, into any) error {
	soon, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	err := c.call(soon, http.MethodGet, path, nil, into)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return problem.New(problem.Unavailable, "the agent does not answer: if that lasts, end its process and start another with `sharetray`")
	}
	return err
}

// call sends body as JSON and reads the answer into the value at into, each
// unless nil.
func (c *Client) call(ctx context.Context, method, path string, body, into any) error {
	resp, err := c.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return goneError(ctx, err)
	}
	return nil
}

// An agent that was killed is started again by its shares, and one that is
// replaced has a successor: whoever asks meanwhile is kept waiting.
const (
	revivalTime     = time.Second
	replacementTime = 15 * time.Second
	askAgain        = 20 * time.Millisecond
)

// do returns the answer to a request if it is a success; its body must be closed.
func (c *Client) do(ctx context.Context, method, path string, body any) (*http.Response, error) {
	for began := time.Now(); ; {
		resp, err := c.try(ctx, method, path, body)
		waits := time.Since(began)
		if !(platform.IsConnRefused(err) && waits < revivalTime) && !(errors.Is(err, errReplaced) && waits < replacementTime) {
			return resp, err
		}
		select {
		case <-time.After(askAgain):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// errReplaced is the cause of ErrEnding when another agent is about to answer.
var errReplaced = fmt.Errorf("%w: another one takes over", ErrEnding)

// try is do, once.
func (c *Client) try(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://sharetray"+path, content)
	if err != nil {
		return nil, problem.New(problem.Invalid, "the request can't be made: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, goneError(ctx, err)
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	var f fault
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxBody)).Decode(&f); err != nil || f.Code == "" {
		return nil, problem.New(problem.Internal, "the agent gave an answer that is not understood: %s", resp.Status)
	}
	p := &problem.Problem{Code: f.Code, Sentence: f.Sentence}
	if f.Code == problem.Unavailable {
		p.Err = ErrEnding // what else would an agent that answers mean
	}
	if resp.Header.Get("Retry-After") != "" {
		p.Err = errReplaced
	}
	return nil, p
}

// goneError turns the failure of a connection into a problem.
func goneError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	p := &problem.Problem{Code: problem.Unavailable, Err: err}
	var dial *net.OpError
	switch {
	case platform.IsNobodyThere(err):
		p.Sentence = "no agent is running: start one with `sharetray`, or share something"
	case errors.As(err, &dial) && dial.Op == "dial":
		p.Sentence = fmt.Sprintf("the agent can't be reached: %v", dial.Err)
	default:
		p.Sentence = "the agent went away before it had answered: `sharetray list` tells whether it is back"
	}
	return p
}

// brokenPipe remembers that it was the writer that failed, not the agent.
type brokenPipe struct {
	w   io.Writer
	err error
}

func (b *brokenPipe) Write(p []byte) (int, error) {
	n, err := b.w.Write(p)
	b.err = err
	return n, err
}
