package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// deathResult is what SIGKILLs of the agent cost the visitors, and how long it
// takes until another one looks after every share.
type deathResult struct {
	Missing, Failed string
	Times, Shares   int
	Adoption        []time.Duration // from each kill until the last share was adopted
	Replaced        int             // shares that are served by another process since
	felt
}

// upgradeResult is what upgrades cost the visitors.
type upgradeResult struct {
	Missing, Failed string
	Times, Shares   int
	Took            []time.Duration // each, until the command said that it was done
	felt
}

const (
	adopted = 5 // shares that an agent leaves behind
	// between is longer than it takes until a new agent counts as one that lives:
	// what is revived again and again is given up.
	between = 1500 * time.Millisecond
	// visitorsPace lets 20 shares with two visitors each have 400 requests a
	// second: load, but not all that the machine can do.
	visitorsPace = 100 * time.Millisecond
)

func measureDeath(ctx context.Context, r *rig, tray sharetray, p plan) *deathResult {
	res := &deathResult{Missing: tray.missing(), Times: p.deaths, Shares: adopted}
	if res.Missing != "" || ctx.Err() != nil {
		return res
	}
	r.say("under load: SIGKILL of the agent, %d times", res.Times)
	in, err := tray.logIn(ctx, r, res.Shares)
	if err == nil {
		defer in.stop()
		err = res.measure(ctx, in, p)
	}
	if err != nil {
		res.Failed = err.Error()
	}
	return res
}

func (res *deathResult) measure(ctx context.Context, in *login, p plan) error {
	before, err := in.list(ctx)
	if err != nil {
		return err
	}
	v := startVisits(in.ports, 1, visitorsPace/10, p)
	err = rollOn(ctx, v, res.Times, func(int) error { return res.round(ctx, in) })
	res.felt = v.end()
	if err != nil {
		return err
	}
	after, err := in.list(ctx)
	if err != nil {
		return err
	}
	for _, was := range before {
		if !slices.ContainsFunc(after, func(is status) bool { return is.Name == was.Name && is.PID == was.PID }) {
			res.Replaced++
		}
	}
	return nil
}

// round kills the agent and waits until another one has adopted all. No command is
// used before there is one: it would start one.
func (res *deathResult) round(ctx context.Context, in *login) error {
	old, err := in.lockHolder()
	if err != nil {
		return err
	}
	killed := time.Now()
	if err := kill(old); err != nil {
		return err
	}
	err = poll(ctx, "another agent holds the lock", 5*time.Millisecond, func() (bool, error) {
		pid, err := in.lockHolder()
		return err == nil && pid != old, nil
	})
	if err != nil {
		return err
	}
	var last time.Time
	for i := range res.Shares {
		err := poll(ctx, shareOf(i)+" is adopted", 20*time.Millisecond, func() (bool, error) {
			at, err := in.lastly(ctx, shareOf(i), "adopted")
			if at.After(last) {
				last = at
			}
			return err == nil && at.After(killed), nil
		})
		if err != nil {
			return err
		}
	}
	res.Adoption = append(res.Adoption, last.Sub(killed))
	return pause(ctx, between-time.Since(killed))
}

func measureUpgrade(ctx context.Context, r *rig, tray sharetray, p plan) *upgradeResult {
	res := &upgradeResult{Missing: tray.missing(), Times: p.upgrades, Shares: p.upgraded}
	if res.Missing != "" || ctx.Err() != nil {
		return res
	}
	r.say("under load: upgrade of %d shares, %d times", res.Shares, res.Times)
	in, err := tray.logIn(ctx, r, res.Shares)
	if err == nil {
		defer in.stop()
		err = res.measure(ctx, in, p)
	}
	if err != nil {
		res.Failed = err.Error()
	}
	return res
}

func (res *upgradeResult) measure(ctx context.Context, in *login, p plan) error {
	v := startVisits(in.ports, 1, visitorsPace, p)
	err := rollOn(ctx, v, res.Times, func(i int) error { return res.round(ctx, in, i) })
	res.felt = v.end()
	return err
}

// round upgrades to a copy of the program, which is another file.
func (res *upgradeResult) round(ctx context.Context, in *login, i int) error {
	next := in.place.path(fmt.Sprintf("sharetray%d", i))
	if err := copyFile(next, in.binary); err != nil {
		return err
	}
	before, err := in.list(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	if _, err := in.run(ctx, "upgrade", next); err != nil {
		return err
	}
	res.Took = append(res.Took, time.Since(began))
	after, err := in.list(ctx)
	if err != nil {
		return err
	}
	for i, was := range before {
		if len(after) != len(before) || after[i].Name != was.Name || after[i].PID == was.PID {
			return fmt.Errorf("the share %s was not rolled", was.Name)
		}
	}
	return nil
}
