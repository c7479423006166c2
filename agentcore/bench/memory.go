package main

import (
	"context"
	"fmt"
	"time"
)

// memoryResult is the anonymous memory of idle shares, in bytes.
type memoryResult struct {
	Missing, Failed   string
	FewN, ManyN       int
	Few, Many         int64 // all of Sharetray's processes, with so many shares
	FewProc, ManyProc int
	Caddy             int64 // one stock Caddy
}

// perShare is what one more share costs.
func (m *memoryResult) perShare() float64 {
	return float64(m.Many-m.Few) / float64(m.ManyN-m.FewN)
}

// each is how many requests a server gets before it is left alone: one that
// was never used has not yet taken what it needs.
const each = 50

func measureMemory(ctx context.Context, r *rig, tray sharetray, p plan) *memoryResult {
	res := &memoryResult{Missing: tray.missing(), FewN: p.few, ManyN: p.many}
	r.say("memory: %d to %d shares", p.few, p.many)
	err := res.caddy(ctx, r)
	if err == nil && res.Missing == "" {
		err = res.shares(ctx, r, tray)
	}
	if err != nil {
		res.Failed = err.Error()
	}
	return res
}

func (m *memoryResult) caddy(ctx context.Context, r *rig) error {
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	caddy, err := plainCaddy(r, ports[0])
	if err != nil {
		return err
	}
	defer caddy.stop()
	if err := use(ctx, ports); err != nil {
		return err
	}
	m.Caddy, _, err = settled(ctx, func() []int { return []int{caddy.Pid} })
	return err
}

func (m *memoryResult) shares(ctx context.Context, r *rig, tray sharetray) error {
	ports, err := freePorts(m.ManyN)
	if err != nil {
		return err
	}
	a, err := tray.home(r)
	if err != nil {
		return err
	}
	if err := a.start(); err != nil {
		return err
	}
	defer a.stop()
	if err := a.awaitControl(ctx); err != nil {
		return err
	}
	for i, port := range ports {
		if err := a.share(ctx, fmt.Sprintf("share%02d", i+1), port); err != nil {
			return err
		}
		switch i + 1 {
		case m.FewN:
			if err := use(ctx, ports[:i+1]); err != nil {
				return err
			}
			if m.Few, m.FewProc, err = settled(ctx, a.processes); err != nil {
				return err
			}
		case m.ManyN:
			if err := use(ctx, ports[m.FewN:]); err != nil {
				return err
			}
			if m.Many, m.ManyProc, err = settled(ctx, a.processes); err != nil {
				return err
			}
		}
	}
	return nil
}

// use sends each server some requests, one after the other.
func use(ctx context.Context, ports []int) error {
	for _, port := range ports {
		if err := firstAnswer(ctx, port); err != nil {
			return err
		}
		if err := at(port).ask(each); err != nil {
			return err
		}
	}
	return nil
}

// ask asks some times, on one connection.
func (t target) ask(times int) error {
	c := client{target: t, timeout: 5 * time.Second, keepAlive: true}
	defer c.hangUp()
	for range times {
		if _, err := c.do(); err != nil {
			return err
		}
	}
	return nil
}

const (
	settleEvery   = 500 * time.Millisecond
	settleSamples = 6 // alike, within a hundredth
	settleAtMost  = 40
)

// settled adds up the memory of processes once it changes no more.
func settled(ctx context.Context, processes func() []int) (bytes int64, n int, err error) {
	var seen []int64
	for range settleAtMost {
		if err := pause(ctx, settleEvery); err != nil {
			return 0, 0, err
		}
		bytes, n = 0, 0
		for _, pid := range processes() {
			b, err := rssAnon(pid)
			if err != nil {
				continue // it ended meanwhile; a later look counts without it
			}
			bytes += b
			n++
		}
		seen = append(seen, bytes)
		if calm(seen) {
			return bytes, n, nil
		}
	}
	return bytes, n, nil // never calm: the last figure is as true as any
}

// calm says that the last samples are alike.
func calm(seen []int64) bool {
	if len(seen) < settleSamples {
		return false
	}
	last := seen[len(seen)-settleSamples:]
	low, high := last[0], last[0]
	for _, b := range last {
		low, high = min(low, b), max(high, b)
	}
	return high-low <= high/100
}
