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
	"time"

	"sharetray/agentcore"
	"sharetray/agentcore/cli"
	"sharetray/agentcore/control"
	"sharetray/agentcore/notice"
	"sharetray/agentcore/problem"
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
		agent, err := agentcore.Start(ctx, paths, agentcore.Options{
			Version: version, Exe: exe, Image: platform.OwnImage(exe), Log: log,
			Args: again(paths, role), Revived: role.Revived,
		})
		if err != nil {
			return err
		}
		defer agent.Release()
		ln, err := platform.ListenControl(paths.Control)
		if err != nil {
			agent.Quit()
			<-agent.Done()
			return problem.New(problem.Conflict, "the control socket can't be had: %w", err)
		}
		defer quitOnSignal(agent)()

		life, end := context.WithCancel(ctx)
		defer end()
		go func() {
			<-agent.Done()
			end()
		}()
		icon := iconFile(paths.State)
		var around sync.WaitGroup
		around.Go(func() { notify(life, agent, icon) })
		around.Go(func() { serveControl(life, ln, paths.Control, agent) })
		if role.Tray {
			if err := tray.Run(life, agent, tray.Options{Version: version, Icon: icon, Log: log}); err != nil {
				log.Warn("there is no tray icon", "err", err)
			}
		}
		<-agent.Done()
		around.Wait()
		return nil
	}
}

// again is what makes this program such an agent once more.
func again(paths agentcore.Paths, role cli.AgentRole) []string {
	args := append(paths.AgentArgs(), "--"+agentcore.RevivedFlag)
	if !role.Tray {
		args = append(args, "--"+agentcore.NoTrayFlag)
	}
	return args
}

// socketLook is how often it is looked whether commands can still reach the
// agent: somebody may clean up the folder for temporary files.
const socketLook = 5 * time.Second

// serveControl answers commands until ctx ends. When somebody has removed the
// socket, it makes another one.
func serveControl(ctx context.Context, ln net.Listener, path string, agent *agentcore.Agent) {
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
	tick := time.NewTicker(socketLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
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

// quitOnSignal ends the agent in order at the first signal to stop, and this
// process at the second.
func quitOnSignal(agent *agentcore.Agent) (forget func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, platform.StopSignals()...)
	go func() {
		<-signals
		agent.Quit()
		<-signals
		os.Exit(1)
	}()
	return func() { signal.Stop(signals) }
}

// notify says on the desktop what happens to shares.
func notify(ctx context.Context, agent *agentcore.Agent, icon string) {
	for ctx.Err() == nil {
		_, events, cancel := agent.Subscribe()
		notice.Run(ctx, events,
			func() bool { return agent.Settings().Notifications },
			func(n notice.Note) {
				note := platform.Note{Title: n.Title, Body: n.Body, Icon: icon, Urgent: n.Urgent, ID: n.ID}
				if err := platform.Notify(ctx, note); err != nil {
					slog.Info("a notification was not shown", "title", n.Title, "err", err)
				}
			})
		cancel()
		select { // the agent is ending, or notices were too slow to read
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// iconFile puts the icon for notifications where the desktop can read it.
func iconFile(dir string) string {
	path := filepath.Join(dir, "icon.png")
	if err := os.WriteFile(path, assets.PNG(assets.Well, 64), 0o600); err != nil {
		return ""
	}
	return path
}
