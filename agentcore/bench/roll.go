package main

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// rollResult is what a number of restarts under load cost the visitors.
type rollResult struct {
	Who, What       string
	Missing, Failed string
	Times           int
	felt
}

// stopResult is what stops under load cost those who had come before.
type stopResult struct {
	Missing, Failed string
	Times           int
	Before          count // the connection was there before the stop was asked for
	During          count // it was made while the share stopped
	Downloads       count // large ones, begun before
}

type rollResults struct {
	Rolls []rollResult
	Stop  stopResult
}

func measureRoll(ctx context.Context, r *rig, tray sharetray, all []supervisor, p plan) *rollResults {
	res := &rollResults{}
	for _, s := range all {
		roll := rollResult{Who: s.name(), What: "restart", Times: p.rolls, Missing: s.missing()}
		if s.name() != tray.name() {
			roll.Times = (p.rolls + 1) / 2 // they have no goal here, and some take seconds each
		}
		res.Rolls = append(res.Rolls, roll.measured(ctx, r, s, p, func(ctx context.Context, svc service, _ int) error {
			return svc.restart(ctx)
		}))
		if s.name() != tray.name() {
			continue
		}
		roll.What = "a changed setting"
		res.Rolls = append(res.Rolls, roll.measured(ctx, r, s, p, func(ctx context.Context, svc service, i int) error {
			return svc.(*one).set(ctx, "hidden_files", strconv.FormatBool(i%2 == 0))
		}))
	}
	res.Stop = stopResult{Missing: tray.missing(), Times: p.stops}
	if res.Stop.Missing == "" && ctx.Err() == nil {
		r.say("stop under load, %d times", p.stops)
		if err := res.Stop.measure(ctx, r, tray, p); err != nil {
			res.Stop.Failed = err.Error()
		}
	}
	return res
}

// measured is the result once it is filled in.
func (res rollResult) measured(ctx context.Context, r *rig, s supervisor, p plan, act func(context.Context, service, int) error) rollResult {
	if res.Missing != "" || ctx.Err() != nil {
		return res
	}
	r.say("under load: %s of %s, %d times", res.What, res.Who, res.Times)
	ports, err := freePorts(1)
	if err == nil {
		var svc service
		if svc, err = s.serve(ctx, r, ports[0]); err == nil {
			defer svc.stop()
			err = res.roll(ctx, ports[0], p, func(i int) error { return act(ctx, svc, i) })
		}
	}
	if err != nil {
		res.Failed = err.Error()
	}
	return res
}

func (res *rollResult) roll(ctx context.Context, port int, p plan, act func(i int) error) error {
	if err := firstAnswer(ctx, port); err != nil {
		return err
	}
	v := startVisits([]int{port}, 2, 0, p)
	err := rollOn(ctx, v, res.Times, act)
	res.felt = v.end()
	return err
}

// rollOn does it n times; each time the visitors are answered before the next.
func rollOn(ctx context.Context, v *visits, n int, act func(i int) error) error {
	for i := range n {
		if err := v.awaitAnswers(ctx); err != nil {
			return err
		}
		if err := act(i); err != nil {
			return err
		}
	}
	return v.awaitAnswers(ctx)
}

// startDownloads is two slow visitors, who take about two seconds for a file.
func startDownloads(port int, p plan) *load {
	return startLoad(2, client{
		target:  target{addr: address(port), file: downloadFile, size: p.download},
		timeout: time.Minute, rate: p.download / 2,
	})
}

func (res *stopResult) measure(ctx context.Context, r *rig, tray sharetray, p plan) error {
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	share, err := tray.one(ctx, r, ports[0])
	if err != nil {
		return err
	}
	defer share.stop()
	for range p.stops {
		if err := res.round(ctx, share, ports[0], p); err != nil {
			return err
		}
		if _, err := share.run(ctx, "start", site); err != nil {
			return err
		}
	}
	return nil
}

func (res *stopResult) round(ctx context.Context, share *one, port int, p plan) error {
	if err := firstAnswer(ctx, port); err != nil {
		return err
	}
	fresh := startLoad(visitors, client{target: at(port), timeout: 15 * time.Second})
	downloads := startDownloads(port, p)
	err := fresh.awaitAnswer(ctx, 30*time.Second)
	if err == nil {
		err = pause(ctx, 300*time.Millisecond) // of load, and the downloads are well under way
	}
	asked := time.Now()
	if err == nil {
		_, err = share.run(ctx, "stop", site)
	}
	before, during := split(fresh.end(), asked.Sub(fresh.began))
	res.Before.add(before)
	res.During.add(during)
	begun, _ := split(downloads.end(), asked.Sub(downloads.began))
	res.Downloads.add(begun)
	if err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}

// split tells the requests whose connection was there at a moment, and that
// ended later, from those whose connection came later. What was refused is in
// neither: it is what a stop is for.
func split(samples []sample, at time.Duration) (before, during count) {
	var earlier, later []sample
	for _, s := range samples {
		switch {
		case s.outcome == refused, s.ended < at:
		case s.connected <= at:
			earlier = append(earlier, s)
		default:
			later = append(later, s)
		}
	}
	return tally(earlier), tally(later)
}

// add adds another count to this one.
func (c *count) add(other count) {
	for i := range c.by {
		c.by[i] += other.by[i]
	}
	c.idle += other.idle
}
