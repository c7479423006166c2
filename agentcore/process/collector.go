package process

import (
	"math"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"
)

// collector says when garbage is collected in this process. There is one of it,
// as there is one heap.
var collector gc

// gc turns Go's collector off while nobody visits, and back on for the first
// visitor. Go collects every two minutes even in a process that does nothing: of
// a hundred idle shares that alone would be 0.2 % of a core. A process that comes
// up makes little garbage either: without the collector it costs a third less.
//
// While it is off, a limit is the net: Go collects before the process has taken
// so much more than it had.
type gc struct {
	awake atomic.Bool

	mu    sync.Mutex
	most  int64  // the limit that the share has; 0: none
	seen  uint64 // requests, at the last look
	stage *stage // nil before begin
	timer *time.Timer
}

const (
	slackComingUp = 24 << 20 // bytes; Caddy and its configuration take less than half of it
	slackResting  = 4 << 20  // what is said on the link makes that much garbage in some days

	// settleAfter is when a process that serves gives back, once, the memory that
	// it used to get there: when those that started with it are up.
	settleAfter = 5 * time.Second
	// restAfter is how long nobody has visited when the collector is turned off.
	restAfter = 30 * time.Second
)

// comeUp is for a process that starts.
func (c *gc) comeUp() {
	debug.SetGCPercent(-1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit(slackComingUp)
}

// begin follows the visitors of a stage.
func (c *gc) begin(st *stage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stage, c.seen = st, st.use().Requests
	c.timer = time.AfterFunc(settleAfter+rand.N(settleAfter), c.look)
}

// visit notes that a request came. It is on the path of each.
func (c *gc) visit() {
	if !c.awake.Load() {
		c.wake()
	}
}

func (c *gc) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stage == nil || c.awake.Swap(true) {
		return // it warms up, or somebody else came first
	}
	c.limit(math.MaxInt64)
	debug.SetGCPercent(100)
	c.timer.Reset(restAfter)
}

// look lets the collector rest when nobody came since the last look.
func (c *gc) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if u := c.stage.use(); u.Requests != c.seen || u.Active > 0 {
		c.seen = u.Requests
		c.timer.Reset(restAfter)
		return
	}
	c.awake.Store(false)
	debug.SetGCPercent(-1)
	c.tidy()
}

// tidy gives back all memory that is not in use. c.mu is held.
func (c *gc) tidy() {
	runtime.GC() // what pools keep goes with the second collection
	debug.FreeOSMemory()
	c.limit(slackResting)
}

// rest is tidy for a process that waits for a share.
func (c *gc) rest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tidy()
}

// bound takes the limit of the share: the collector works harder before it is
// reached.
func (c *gc) bound(most int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.most = most
	if c.awake.Load() {
		c.limit(math.MaxInt64)
	} else {
		c.limit(slackComingUp)
	}
}

// limit is what may be taken beyond what is taken now. c.mu is held.
func (c *gc) limit(slack int64) {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	taken := int64(s[0].Value.Uint64() - s[1].Value.Uint64())
	most := int64(math.MaxInt64)
	if slack < math.MaxInt64-taken {
		most = taken + slack
	}
	if c.most > 0 {
		most = min(most, c.most)
	}
	debug.SetMemoryLimit(most)
}
