package main

import (
	"context"
	"fmt"
	"time"
)

// felt is what visitors felt of something.
type felt struct {
	Fresh     count // each request on a new connection
	Kept      count // many requests on each connection
	Downloads count // large ones, in flight while it happened
	Oddity    string
}

// lost counts what was refused, cut, and else wrong.
func (f felt) lost() (refusals, cuts, oddities int) {
	for _, c := range []count{f.Fresh, f.Kept, f.Downloads} {
		refusals += c.by[refused]
		cuts += c.by[cut]
		oddities += c.by[odd]
	}
	return refusals, cuts, oddities
}

// wrong is the cell for what was neither refused nor cut, and not right.
func (f felt) wrong() string {
	_, _, n := f.lost()
	if f.Oddity == "" {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d (%s)", n, f.Oddity)
}

// visits are visitors of one or more ports, of all three kinds.
type visits struct {
	small     []*load // those who ask for the small file: on new connections, on kept ones, and so on
	downloads *load
}

// startVisits lets each port have n visitors on new connections and n on kept
// ones, each of whom asks once in a pace, and the first port two slow downloads.
func startVisits(ports []int, n int, pace time.Duration, p plan) *visits {
	v := &visits{downloads: startDownloads(ports[0], p)}
	for _, port := range ports {
		c := client{target: at(port), timeout: 15 * time.Second, pace: pace}
		fresh := startLoad(n, c)
		c.keepAlive = true
		v.small = append(v.small, fresh, startLoad(n, c))
	}
	return v
}

// awaitAnswers waits until each port has answered both kinds of visitors anew.
func (v *visits) awaitAnswers(ctx context.Context) error {
	for _, l := range v.small {
		if err := l.awaitAnswer(ctx, 30*time.Second); err != nil {
			return err
		}
	}
	return nil
}

// end lets all finish what they do.
func (v *visits) end() (f felt) {
	add := func(into *count, l *load) {
		into.add(tally(l.end()))
		if f.Oddity == "" {
			f.Oddity = l.oddity
		}
	}
	for i, l := range v.small {
		if i%2 == 0 {
			add(&f.Fresh, l)
		} else {
			add(&f.Kept, l)
		}
	}
	add(&f.Downloads, v.downloads)
	return f
}
