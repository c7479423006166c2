package main

import (
	"context"
	"fmt"
	"time"
)

// gapResult is what the crashes under one supervisor cost its visitors.
type gapResult struct {
	Who     string
	Missing string // why it is left out
	Failed  string // why it could not be measured

	Gaps    []time.Duration // one a kill
	Refused int
	Cut     int // accepted by the process that died
	Odd     int
	Oddity  string
}

const visitors = 4 // clients, each request on a new connection

func measureGaps(ctx context.Context, r *rig, all []supervisor, p plan) []gapResult {
	var results []gapResult
	for _, s := range all {
		res := gapResult{Who: s.name(), Missing: s.missing()}
		if res.Missing == "" && ctx.Err() == nil {
			r.say("crash gap: %s, %d kills", s.name(), p.kills)
			if err := res.measure(ctx, r, s, p); err != nil {
				res.Failed = err.Error()
			}
		}
		results = append(results, res)
	}
	return results
}

func (res *gapResult) measure(ctx context.Context, r *rig, s supervisor, p plan) error {
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	svc, err := s.serve(ctx, r, ports[0])
	if err != nil {
		return err
	}
	defer svc.stop()
	return res.crash(ctx, svc, at(ports[0]), p)
}

// crash kills the serving process again and again while visitors come.
func (res *gapResult) crash(ctx context.Context, svc service, t target, p plan) error {
	l := startLoad(visitors, client{target: t, timeout: 5 * time.Second})
	kills, err := killing(ctx, svc, l, p)
	samples := l.end()
	if err != nil {
		return err
	}
	// What was refused while the service started for the first time is no crash's fault.
	since := samples[:0:0]
	for _, s := range samples {
		if s.ended >= kills[0].before {
			since = append(since, s)
		}
	}
	c := tally(since)
	res.Refused, res.Cut, res.Odd, res.Oddity = c.by[refused], c.by[cut], c.by[odd], l.oddity
	res.Gaps, err = gaps(kills, since)
	return err
}

// moment is when a process was killed: some time between the two.
type moment struct{ before, after time.Duration }

// killing kills p.kills times. Nothing but the load runs between a kill and
// the answer that ends its gap.
func killing(ctx context.Context, svc service, l *load, p plan) ([]moment, error) {
	var kills []moment
	if err := l.awaitAnswer(ctx, 30*time.Second); err != nil {
		return nil, err
	}
	victim := 0
	for range p.kills {
		ready := time.Now()
		next := 0
		err := poll(ctx, "another process serves", 50*time.Millisecond, func() (done bool, err error) {
			next, err = svc.pid(ctx)
			return next != 0 && next != victim, err
		})
		if err != nil {
			return nil, err
		}
		if err := pause(ctx, p.uptime-time.Since(ready)); err != nil {
			return nil, err
		}
		victim = next
		var m moment
		m.before = l.now()
		err = kill(victim)
		m.after = l.now()
		if err != nil {
			return nil, fmt.Errorf("killing the serving process: %w", err)
		}
		kills = append(kills, m)
		if err := l.awaitAnswer(ctx, 30*time.Second); err != nil {
			return nil, fmt.Errorf("after kill %d: %w", len(kills), err)
		}
	}
	return kills, nil
}

// gaps finds for each kill the first request that was sent after it and
// answered whole; the gap is from the kill to the end of that answer.
func gaps(kills []moment, samples []sample) ([]time.Duration, error) {
	found := make([]time.Duration, len(kills))
	for i, k := range kills {
		first := time.Duration(-1)
		for _, s := range samples {
			if s.outcome == answered && s.begun >= k.after && (first < 0 || s.ended < first) {
				first = s.ended
			}
		}
		if first < 0 {
			return nil, fmt.Errorf("nothing was answered after kill %d", i+1)
		}
		found[i] = first - k.before
	}
	return found, nil
}
