package main

import (
	"context"
	"fmt"
	"time"
)

// idleResult is what shares cost that nobody visits: the processor time of all
// processes in two windows, one after the other, as parts of one core.
type idleResult struct {
	Missing, Failed string
	Shares          int
	Window          time.Duration
	First           float64 // from when all were ready
	Settled         float64 // after that
	OfAgent         float64 // the agent's part of Settled
}

func measureIdle(ctx context.Context, r *rig, tray sharetray, p plan) *idleResult {
	res := &idleResult{Missing: tray.missing(), Shares: p.shares, Window: p.idle}
	if res.Missing != "" || ctx.Err() != nil {
		return res
	}
	r.say("idle: %d shares, twice %v", p.shares, p.idle)
	if err := res.measure(ctx, r, tray); err != nil {
		res.Failed = err.Error()
	}
	return res
}

func (res *idleResult) measure(ctx context.Context, r *rig, tray sharetray) error {
	in, err := tray.logIn(ctx, r, res.Shares)
	if err != nil {
		return err
	}
	defer in.stop()
	if res.First, _, err = in.part(ctx, res.Window); err != nil {
		return err
	}
	res.Settled, res.OfAgent, err = in.part(ctx, res.Window)
	return err
}

// part watches all processes for a while, and returns their processor time, and
// that of the agent alone, as parts of one core.
func (a *agent) part(ctx context.Context, window time.Duration) (all, agents float64, err error) {
	before, began := make(map[int]time.Duration), time.Now()
	for _, pid := range carrying(a.place.rig.mark(a.place.label)) {
		if before[pid], err = cpuTime(pid); err != nil {
			return 0, 0, err
		}
	}
	if err := pause(ctx, window); err != nil {
		return 0, 0, err
	}
	for pid, was := range before {
		now, err := cpuTime(pid)
		if err != nil {
			return 0, 0, fmt.Errorf("process %d: %w", pid, err)
		}
		spent := (now - was).Seconds() / time.Since(began).Seconds()
		if all += spent; pid == a.Pid {
			agents = spent
		}
	}
	if len(before) <= 1 {
		return 0, 0, fmt.Errorf("%d processes were seen", len(before))
	}
	return all, agents, nil
}
