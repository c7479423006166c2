package main

import (
	"context"
	"log/slog"
	"net/url"
	"time"

	"sharetray/agentcore"
	"sharetray/agentcore/dashboard"
	"sharetray/agentcore/notice"
	"sharetray/platform"
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
		Autostart: func() (bool, error) {
			st, err := p.autostart.Status()
			return st.On, err
		},
		SetAutostart: p.autostart.Set,
	})
	return p
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

// controlled is an agent as commands know it, with its dashboard.
type controlled struct {
	*agentcore.Agent
	page *page
}

// Dashboard returns an address that opens the page at path, once.
func (c controlled) Dashboard(ctx context.Context, path string) (string, error) {
	return c.page.Address(ctx, path)
}

// notify says on the desktop what happens to shares.
func (p *page) notify(ctx context.Context) {
	for ctx.Err() == nil {
		_, events, cancel := p.agent.Subscribe()
		notice.Run(ctx, events,
			func() bool { return p.agent.Settings().Notifications },
			func(n notice.Note) {
				note := platform.Note{Title: n.Title, Body: n.Body, Icon: p.icon, Urgent: n.Urgent, ID: n.ID}
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

// sharePage is where a share is on the dashboard.
func sharePage(name, part string) string { return "/shares/" + url.PathEscape(name) + part }
