package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"

	"sharetray/agentcore"
	"sharetray/agentcore/cli"
	"sharetray/agentcore/control"
	"sharetray/agentcore/problem"
	"sharetray/agentcore/succession"
	"sharetray/assets"
	"sharetray/platform"
	"sharetray/tray"
)

// agentOf returns what makes this process the agent, until that has ended.
func agentOf(version, exe string) func(context.Context, cli.AgentRole) error {
	return func(ctx context.Context, role cli.AgentRole) error {
		paths, err := agentcore.FindPaths(role.Profile)
		if err != nil {
			return err
		}
		log := slog.New(slog.NewTextHandler(os.Stderr, nil))
		slog.SetDefault(log)
		opt := agentcore.Options{
			Version: version, Exe: exe, Image: platform.OwnImage(exe), Log: log, Args: paths.AgentArgs(), Revived: role.Revived,
		}
		if !role.Tray {
			opt.Args = append(opt.Args, "--"+agentcore.NoTrayFlag)
		}
		if role.Successor {
			return succeed(ctx, paths, opt, role.Tray)
		}
		return run(ctx, paths, opt, role.Tray, func(ctx context.Context, a *agentcore.Agent) error {
			if err := a.Renew(ctx, func() {}); err != nil {
				log.Error("shares go on with processes of another version", "error", err)
			}
			return nil
		})
	}
}

// succeed is run for an agent that another one has started to be replaced by it.
func succeed(ctx context.Context, paths agentcore.Paths, opt agentcore.Options, withTray bool) error {
	elder, err := succession.Partner()
	if err != nil {
		return err
	}
	if err := agentcore.Prove(ctx, paths, opt); err != nil {
		elder.Failed(problem.Sentence(err))
		return err
	}
	past, err := elder.Ready(opt.Version)
	if err != nil {
		return err
	}
	opt.Patience = agentcore.SuccessionPatience
	opt.Upgrade = &agentcore.Upgrade{State: agentcore.UpgradeRolling, From: past.Version, To: opt.Version}
	if past.Failure != "" {
		opt.Upgrade.From, opt.Upgrade.To, opt.Upgrade.Reason = opt.Version, past.Version, past.Failure
	}
	err = run(ctx, paths, opt, withTray, func(ctx context.Context, a *agentcore.Agent) error {
		elder.Moved()
		err := a.Renew(ctx, elder.Moved)
		if err != nil && past.Failure == "" && ctx.Err() == nil {
			a.Leave()
			return err
		}
		elder.Done()
		l := a.Language()
		if past.Failure != "" {
			tell(ctx, a, "notice.not_updated", l.Say("notice.goes_on", opt.Version, l.Sentence(past.Failure)))
		} else if ctx.Err() == nil {
			tell(ctx, a, "notice.updated", l.Say("notice.updated_to", opt.Version))
		}
		return nil
	})
	if err != nil {
		elder.Failed(problem.Sentence(err))
	}
	return err
}

// tell says on the desktop what happened to the agent itself.
func tell(ctx context.Context, agent *agentcore.Agent, title, body string) {
	if !agent.Settings().Notifications {
		return
	}
	title = agent.Language().Say(title)
	if err := platform.Notify(ctx, platform.Note{ID: "agent", Title: title, Body: body}); err != nil {
		slog.Info("a notification was not shown", "title", title, "err", err)
	}
}

// run is the life of an agent. renew is called once it is up, and ends before
// run does; its error is run's.
func run(ctx context.Context, paths agentcore.Paths, opt agentcore.Options, withTray bool,
	renew func(context.Context, *agentcore.Agent) error) (err error) {
	var ln net.Listener
	opt.Claimed = func() (err error) {
		if ln, err = platform.ListenControl(paths.Control); err != nil {
			return problem.New(problem.Conflict, "the control socket can't be had: %w", err)
		}
		return nil
	}
	agent, err := agentcore.Start(ctx, paths, opt)
	if err != nil {
		if ln != nil {
			ln.Close()
		}
		return err
	}
	stop, forget := quitOnSignal(agent)
	defer forget()

	life, end := context.WithCancel(ctx)
	defer end()
	go func() {
		<-agent.Done()
		end()
	}()
	reachable, unreachable := context.WithCancel(ctx)
	defer unreachable()
	icon := iconFile(paths.State)
	page := newPage(agent, paths, opt.Exe, icon)
	var around, servers sync.WaitGroup
	around.Go(func() { page.notify(life) })
	around.Go(func() { page.serve(life) })
	around.Go(func() { err = renew(life, agent) })
	servers.Go(func() { serveControl(reachable, ln, paths.Control, controlled{agent, page}) })
	if withTray {
		if err := tray.Run(life, agent, page.trayOptions(opt)); err != nil {
			opt.Log.Warn("there is no tray icon", "err", err)
		}
	}
	<-agent.Done()
	around.Wait()
	if !agent.Leaving() { // else whoever asks is told to wait until the next one answers
		unreachable()
		servers.Wait()
	}
	agent.Release()
	if outlived := agent.Outlive(stop, unreachable); err == nil {
		err = outlived
	}
	unreachable()
	servers.Wait()
	return err
}

// serveControl answers commands until ctx ends. When somebody has removed the
// socket, it makes another one.
func serveControl(ctx context.Context, ln net.Listener, path string, agent controlled) {
	var servers sync.WaitGroup
	defer servers.Wait()
	serve := func(ln net.Listener) {
		servers.Go(func() {
			if err := control.Serve(ctx, ln, agent); err != nil {
				slog.Error("commands can't reach this agent any more", "err", err)
			}
		})
	}
	serve(ln)
	gone := agentcore.WatchGone(ctx, path)
	for {
		select {
		case <-ctx.Done():
			return
		case <-gone:
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) || ending(agent.Agent) {
			continue
		}
		err := platform.PrivateDir(filepath.Dir(path))
		if err == nil {
			ln, err = platform.ListenControl(path)
		}
		if err != nil {
			slog.Error("the control socket was removed, and can't be made anew", "err", err)
			continue
		}
		slog.Warn("the control socket was removed; it is made anew")
		serve(ln)
	}
}

// ending reports whether the agent is on its way out: then its socket is removed
// by itself, or by the agent that takes over.
func ending(agent *agentcore.Agent) bool {
	select {
	case <-agent.Quitting():
		return true
	default:
		return false
	}
}

// quitOnSignal ends the agent in order at the first signal to stop, when stop is
// closed, and this process at the second.
func quitOnSignal(agent *agentcore.Agent) (stop <-chan struct{}, forget func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, platform.StopSignals()...)
	first := make(chan struct{})
	go func() {
		<-signals
		close(first)
		agent.Quit()
		<-signals
		os.Exit(1)
	}()
	return first, func() { signal.Stop(signals) }
}

// iconFile puts the icon for notifications where the desktop can read it.
func iconFile(dir string) string {
	path := filepath.Join(dir, "icon.png")
	if err := os.WriteFile(path, assets.PNG(assets.Well, 64), 0o600); err != nil {
		return ""
	}
	return path
}
