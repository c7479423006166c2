package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// startResult is how long a login takes.
type startResult struct {
	Missing, Failed string
	Shares          int
	Answered        []time.Duration // until each share had answered a request
	Ready           []time.Duration // until list said that all are ready
}

func measureStart(ctx context.Context, r *rig, tray sharetray, p plan) *startResult {
	res := &startResult{Missing: tray.missing(), Shares: p.shares}
	for i := range p.starts {
		if res.Missing != "" || res.Failed != "" || ctx.Err() != nil {
			break
		}
		r.say("start: %d shares, round %d of %d", p.shares, i+1, p.starts)
		if err := res.round(ctx, r, tray); err != nil {
			res.Failed = err.Error()
		}
	}
	return res
}

func (res *startResult) round(ctx context.Context, r *rig, tray sharetray) error {
	in, err := tray.logIn(ctx, r, res.Shares)
	if err != nil {
		return err
	}
	in.stop()
	res.Answered = append(res.Answered, in.answered)
	res.Ready = append(res.Ready, in.ready)
	return nil
}

// login is an agent that was started with shares declared, all of them ready.
type login struct {
	*agent
	ports           []int
	answered, ready time.Duration
}

// shareOf is the name of the i-th share that declare declares.
func shareOf(i int) string { return fmt.Sprintf("share%03d", i+1) }

func (s sharetray) logIn(ctx context.Context, r *rig, shares int) (*login, error) {
	ports, err := freePorts(shares)
	if err != nil {
		return nil, err
	}
	a, err := s.home(r)
	if err != nil {
		return nil, err
	}
	if err := a.declare(ports); err != nil {
		return nil, err
	}
	in := &login{agent: a, ports: ports}
	began := time.Now()
	if err := a.start(); err != nil {
		return nil, err
	}
	if err = allAnswer(ctx, ports); err == nil {
		in.answered = time.Since(began)
		err = a.awaitReady(ctx, shares)
	}
	if err != nil {
		a.stop()
		return nil, err
	}
	in.ready = time.Since(began)
	return in, nil
}

// awaitReady waits until list says that all n shares are ready.
func (a *agent) awaitReady(ctx context.Context, n int) error {
	return poll(ctx, "all shares are ready", 20*time.Millisecond, func() (bool, error) {
		all, err := a.list(ctx)
		if err != nil {
			return false, err
		}
		return allReady(all, n)
	})
}

func allReady(all []status, n int) (bool, error) {
	ready := 0
	for _, s := range all {
		switch s.State {
		case "ready":
			ready++
		case "failed", "invalid":
			return false, fmt.Errorf("share %s is %s: %s", s.Name, s.State, s.Error)
		}
	}
	return ready == n, nil
}

// allAnswer asks every port until it has answered. A request that was not
// refused waits in the kernel's queue, so there is little to repeat.
func allAnswer(ctx context.Context, ports []int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	errs := make(chan error, len(ports))
	var asking sync.WaitGroup
	for _, port := range ports {
		asking.Go(func() {
			c := client{target: at(port), timeout: time.Minute}
			errs <- poll(ctx, fmt.Sprintf("port %d answers", port), 20*time.Millisecond, func() (bool, error) {
				_, err := c.do()
				if err != nil && classify(err) == odd {
					return false, err
				}
				return err == nil, nil
			})
		})
	}
	asking.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
