// Package adopt is what a new agent does about share processes that an earlier
// one has left: it looks who is there, and decides what becomes of each.
//
// It must not know how a share is supervised. Deciding is pure.
package adopt

import (
	"cmp"
	"slices"
	"time"

	"sharetray/agentcore/link"
)

// Answer is what was found behind the link of a share process.
type Answer string

const (
	Nobody   Answer = "nobody"   // it has ended, and left its link or its record
	Silent   Answer = "silent"   // it did not answer in time, which is not to be dead
	Stranger Answer = "stranger" // what answers is not the process that it should be
	Newer    Answer = "newer"    // what answers speaks a language that is not known
	Ours     Answer = "ours"     // it proved by its nonce to be the one
)

// Sight is one share process as a new agent sees it.
type Sight struct {
	Share    string // which share it is, by its record or itself; "" if neither tells
	Recorded bool   // its record can be used, and names a process that still runs
	Answer   Answer
	Duty     link.Duty     // if Ours
	Order    time.Duration // if Ours: when it began to serve
}

// Wish is what is declared about a share.
type Wish string

const (
	Unknown Wish = "unknown" // there is no file for it
	Paused  Wish = "paused"  // it is to stay stopped
	Spoiled Wish = "spoiled" // its file can't be used
	Wanted  Wish = "wanted"
)

// Fate is what becomes of a share process.
type Fate string

const (
	Forget Fate = "forget" // its link and its record are removed
	Leave  Fate = "leave"  // it is not touched
	Take   Fate = "take"   // it goes on as its share
	Drain  Fate = "drain"  // it finishes what is in flight and ends
)

// Decide says what becomes of a process of a share of which that is declared.
func Decide(s Sight, w Wish) Fate {
	switch {
	case s.Answer == Nobody:
		return Forget
	case s.Answer == Stranger, s.Answer == Newer:
		return Leave
	case s.Answer == Silent && !s.Recorded:
		return Leave // nothing says for certain who it is
	case s.Answer == Silent && w == Spoiled:
		return Leave // only itself could say what it serves
	case s.Answer == Ours && s.Duty == link.Idle:
		return Leave // without its agent, it ends by itself
	case s.Answer == Ours && s.Duty == link.Draining:
		return Drain
	case w == Wanted, w == Spoiled:
		return Take
	}
	return Drain
}

// Plan decides about all: of several that could be the same share, the one that
// began last goes on, because the others were about to be replaced by it. One
// that answers goes before one that does not.
func Plan(sights []Sight, wish func(name string) Wish) []Fate {
	fates := make([]Fate, len(sights))
	best := map[string]int{}
	for i, s := range sights {
		fates[i] = Decide(s, wish(s.Share))
		if fates[i] != Take {
			continue
		}
		if j, rival := best[s.Share]; rival {
			if better(s, sights[j]) {
				fates[j] = Drain
			} else {
				fates[i] = Drain
				continue
			}
		}
		best[s.Share] = i
	}
	return fates
}

func better(a, b Sight) bool {
	answers := []Answer{Silent, Ours}
	return cmp.Or(
		cmp.Compare(slices.Index(answers, a.Answer), slices.Index(answers, b.Answer)),
		cmp.Compare(a.Order, b.Order),
	) > 0
}
