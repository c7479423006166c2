package main

import (
	"context"
	"log/slog"
	"net/url"
	"strconv"
	"time"

	"sharetray/agentcore"
	"sharetray/agentcore/dashboard"
	"sharetray/agentcore/notice"
	"sharetray/agentcore/problem"
	"sharetray/platform"
	"sharetray/tray"
)

// page is the people's side of an agent: its dashboard, and the notifications whose
// buttons lead there.
type page struct {
	*dashboard.Dashboard
	agent     *agentcore.Agent
	autostart agentcore.Autostart
	icon      string
}

func newPage(agent *agentcore.Agent, paths agentcore.Paths, exe, icon string) *page {
	p := &page{agent: agent, icon: icon, autostart: agentcore.Autostart{Profile: paths.Profile, Exe: exe, Icon: icon}}
	p.Dashboard = dashboard.New(agent, dashboard.Options{
		State:        paths.State,
		ChooseFolder: platform.ChooseFolder,
		Serving:      platform.ListServing,
		Firewall:     platform.FirewallOf,
		Autostart:    p.startsAtLogin,
		SetAutostart: p.autostart.Set,
	})
	return p
}

func (p *page) startsAtLogin() (bool, error) {
	st, err := p.autostart.Status()
	return st.On, err
}

// serve serves the dashboard until ctx ends.
func (p *page) serve(ctx context.Context) {
	if err := p.Serve(ctx); err != nil && ctx.Err() == nil {
		slog.Error("there is no dashboard", "error", err)
	}
}

// show opens the dashboard at path in the browser.
func (p *page) show(ctx context.Context, path string) error {
	address, err := p.Address(ctx, path)
	if err != nil {
		return err
	}
	return platform.OpenURL(ctx, address)
}

// trayOptions are what the tray's menu offers.
func (p *page) trayOptions(opt agentcore.Options) tray.Options {
	return tray.Options{
		Version: opt.Version, Icon: p.icon, Log: opt.Log, Language: p.agent.Language,
		Dashboard: p.show, ChooseFolder: platform.ChooseFolder, Ports: p.ports,
		Autostart: p.startsAtLogin, SetAutostart: p.autostart.Set,
		Notifications: func() bool { return p.agent.Settings().Notifications },
		SetNotifications: func(on bool) error {
			return p.agent.SetSettings(map[string]string{"notifications": strconv.FormatBool(on)})
		},
	}
}

// ports are those at which something listens that is not Sharetray itself.
func (p *page) ports(ctx context.Context) ([]tray.Port, error) {
	found, err := platform.ListServing(ctx)
	if err != nil {
		return nil, err
	}
	own := map[uint16]bool{}
	for _, st := range p.agent.List() {
		own[st.Port] = true
	}
	var ports []tray.Port
	for _, s := range found {
		if port := s.Addr.Port(); !own[port] {
			ports = append(ports, tray.Port{Number: port, Program: s.Program})
		}
	}
	return ports, nil
}

// controlled is an agent as commands know it, with its dashboard.
type controlled struct {
	*agentcore.Agent
	page *page
}

// Dashboard returns an address that opens the page at path, once.
func (c controlled) Dashboard(ctx context.Context, path string) (string, error) {
	return c.page.Address(ctx, path)
}

// actTime is how long what a click on a notification asks for may take.
const actTime = time.Minute

// notify says on the desktop what happens to shares, and does what is clicked.
func (p *page) notify(ctx context.Context) {
	platform.OnNoteAction(func(id, action string) {
		ctx, cancel := context.WithTimeout(ctx, actTime)
		defer cancel()
		p.clicked(ctx, id, action)
	})
	defer platform.OnNoteAction(nil)
	for ctx.Err() == nil {
		_, events, cancel := p.agent.Subscribe()
		notice.Run(ctx, events, p.agent.Language,
			func() bool { return p.agent.Settings().Notifications },
			func(n notice.Note) { p.tell(ctx, n) })
		cancel()
		select { // the agent is ending, or notices were too slow to read
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// tell shows a message.
func (p *page) tell(ctx context.Context, n notice.Note) {
	note := platform.Note{Title: n.Title, Body: n.Body, Icon: p.icon, Urgent: n.Urgent, Quiet: n.Quiet, ID: n.ID}
	l := p.agent.Language()
	if _, ofShare := notice.ShareOf(n.ID); ofShare { // what a click on the message itself does; some desktops make a button of it
		note.Actions = append(note.Actions, platform.NoteAction{ID: defaultAction, Label: notice.OpenPage.Label(l)})
	}
	for _, a := range n.Actions {
		note.Actions = append(note.Actions, platform.NoteAction{ID: string(a), Label: a.Label(l)})
	}
	if err := platform.Notify(ctx, note); err != nil {
		slog.Info("a notification was not shown", "title", n.Title, "error", err)
	}
}

// defaultAction is what a click on a notification itself is called, by the Desktop
// Notifications Specification.
const defaultAction = "default"

// clicked does what a click on a message asks for.
func (p *page) clicked(ctx context.Context, id, action string) {
	name, ok := notice.ShareOf(id)
	if !ok {
		return
	}
	var err error
	switch notice.Action(action) {
	case notice.Resume:
		if _, err = p.agent.Start(ctx, name); err != nil {
			l := p.agent.Language()
			p.tell(ctx, notice.Note{ID: id, Title: l.Say("notice.failed", notice.Name(name)), Body: notice.Sentence(l, problem.Sentence(err)),
				Actions: []notice.Action{notice.ShowLog}, Urgent: true})
			return
		}
	case notice.ShowLog:
		err = p.show(ctx, sharePage(name, "/log"))
	case notice.Settings:
		err = p.show(ctx, sharePage(name, "/edit"))
	default:
		err = p.show(ctx, sharePage(name, ""))
	}
	if err != nil {
		slog.Warn("a click on a notification came to nothing", "action", action, "error", err)
	}
}

// sharePage is where a share is on the dashboard.
func sharePage(name, part string) string { return "/shares/" + url.PathEscape(name) + part }
