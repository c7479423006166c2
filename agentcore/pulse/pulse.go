// Package pulse has what is looked at now and then be looked at together: a
// process that does nothing else then wakes up once for all of it. Waking up
// costs more than looking, and it is what empties batteries.
//
// It must not know what is looked at.
package pulse

import "time"

// Beat is the pause between two moments at which a process looks after things.
const Beat = 5 * time.Second

var began = time.Now()

// Next is how long it is until the next beat. A timer is reset to it each time.
func Next() time.Duration { return after(time.Since(began), 0) }

// Near is how long it is until the beat nearest to d from now. What comes sooner
// than a beat comes when it does.
func Near(d time.Duration) time.Duration {
	if d < Beat {
		return d
	}
	return after(time.Since(began), d-Beat/2)
}

// after returns the time from now to the first beat at or after now+d, but no
// beat that is right now.
func after(now, d time.Duration) time.Duration {
	due := now + max(d, 1)
	return (due+Beat-1)/Beat*Beat - now
}
