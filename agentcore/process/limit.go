package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"sharetray/agentcore/share"
	"sharetray/platform"
)

// scopePatience is how long systemd may take to make a control group.
const scopePatience = 5 * time.Second

// How often a process with a memory limit looks at what it took: rarely, since a
// hundred idle ones must cost next to nothing, and often when it comes close.
const (
	memoryLook     = 5 * time.Second
	memoryLookNear = time.Second
)

// limits holds this process to the limits of its share, by the strongest means
// that can be had, and says by which. The zero value limits nothing.
//
// A limit that the system enforces is one of a control group, or of open files.
// Where there is no control group, the process watches its own memory, and asks
// to be replaced when it takes too much. It cannot watch its processor time.
type limits struct {
	share   share.Share
	changed func() // what excess, full or means says is another
	log     *slog.Logger

	slots       slots
	sent, taken *rate.Limiter // nil: no limit
	makeRoom    func()        // ends connections that are open for nothing

	mu     sync.Mutex
	over   string // the memory limit
	files  string // means of the limit of open files
	group  groupState
	polite bool        // others run first
	watch  *time.Timer // memory
	closed bool
}

// groupState is what is known of this process's control group.
type groupState struct {
	in  platform.ScopeLimits // what it enforces
	why string               // why it does not enforce the rest
}

// newLimits makes the limits of a share, without putting any in force but those
// of listen.
func newLimits(sh share.Share, changed func(), log *slog.Logger) *limits {
	l := &limits{share: sh, changed: changed, log: log, group: groupState{why: "the system is being asked"}}
	l.slots.limit = sh.Connections
	l.slots.filled = l.filled
	if sh.Bandwidth > 0 {
		l.sent, l.taken = newBucket(sh.Bandwidth), newBucket(sh.Bandwidth)
	}
	return l
}

// apply puts the limits of the process in force. It is called once, when the
// process serves: there is no way back from some of them. What takes time is
// done in the background.
func (l *limits) apply() {
	sh := l.share
	if sh.OpenFiles > 0 {
		l.limitFiles()
	}
	if sh.CPU > 0 {
		runtime.GOMAXPROCS(min(runtime.GOMAXPROCS(0), atOnce(sh.CPU)))
	}
	if sh.Memory > 0 {
		collector.bound(int64(sh.Memory) / 5 * 4)
		l.mu.Lock()
		if !l.closed {
			l.watch = time.AfterFunc(memoryLook, l.look)
		}
		l.mu.Unlock()
	}
	if sh.Memory > 0 || sh.CPU > 0 || sh.Processes > 0 {
		go l.enterGroup()
	}
}

// close ends what goes on in the background. Limits that are in force stay.
func (l *limits) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.watch != nil {
		l.watch.Stop()
	}
	l.slots.close()
}

// excess says, as a sentence, which limit this process is past, so that it has
// to be replaced; "" when it is within them.
func (l *limits) excess() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.over
}

// full says, as a sentence, which limit is reached, so that visitors wait; ""
// when none is.
func (l *limits) full() string {
	if !l.slots.crowded() {
		return ""
	}
	if l.share.Connections == 1 {
		return "its one connection is in use: further visitors wait"
	}
	return fmt.Sprintf("all of its %d connections are in use: further visitors wait", l.share.Connections)
}

// means says of each limit how it is kept, a sentence each.
func (l *limits) means() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	sh, in := l.share, l.group.in
	var all []string
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	const enforced = "enforced by the system (control group)"
	switch {
	case sh.Memory == 0:
	case in.Memory > 0:
		add("memory %s: %s", sh.Memory, enforced)
	default:
		add("memory %s: watched; the process is replaced when it takes more", sh.Memory)
	}
	switch {
	case sh.CPU == 0:
	case in.CPU > 0:
		add("cpu %s: %s", sh.CPU, enforced)
	default:
		processors := "1 processor"
		if n := atOnce(sh.CPU); n > 1 {
			processors = fmt.Sprintf("%d processors", n)
		}
		rank := ""
		if l.polite {
			rank = ", after everything else"
		}
		add("cpu %s: not enforced here (%s); the process runs on %s at most%s", sh.CPU, l.group.why, processors, rank)
	}
	if l.files != "" {
		all = append(all, l.files)
	}
	switch {
	case sh.Processes == 0:
	case in.Tasks > 0:
		add("processes %d: %s", sh.Processes, enforced)
	default:
		add("processes %d: not enforced here (%s)", sh.Processes, l.group.why)
	}
	switch {
	case sh.Connections > 0 && sh.Kind == share.UDP:
		add("connections %d: not enforced, since UDP has none; the key sessions bounds its visitors", sh.Connections)
	case sh.Connections > 0:
		add("connections %d: further ones wait", sh.Connections)
	}
	switch {
	case sh.Bandwidth > 0 && sh.Kind == share.UDP:
		add("bandwidth %s/s: not enforced for UDP", sh.Bandwidth)
	case sh.Bandwidth > 0:
		add("bandwidth %s/s: all visitors share it, in each direction", sh.Bandwidth)
	}
	return all
}

func (l *limits) limitFiles() {
	want := l.share.OpenFiles
	got, err := platform.LimitOpenFiles(want)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err != nil:
		l.log.Warn("open files are not limited", "error", err)
		l.files = fmt.Sprintf("open_files %d: not enforced here (the system can't, or refuses to)", want)
	case got < want:
		l.files = fmt.Sprintf("open_files %d: the system allows %d, and enforces that", want, got)
	case got > want:
		l.files = fmt.Sprintf("open_files %d: the process needs more to begin with; the system enforces %d", want, got)
	default:
		l.files = fmt.Sprintf("open_files %d: enforced by the system", want)
	}
}

// enterGroup moves the process into a control group of its own, if there is one
// to be had.
func (l *limits) enterGroup() {
	sh := l.share
	ctx, cancel := context.WithTimeout(context.Background(), scopePatience)
	defer cancel()
	want := platform.ScopeLimits{Memory: int64(sh.Memory), CPU: int(sh.CPU), Tasks: sh.Processes}
	in, err := platform.EnterScope(ctx, fmt.Sprintf("sharetray-%d.scope", os.Getpid()), "Sharetray: "+sh.Name.String(), want)
	// A group that allows more than was asked for enforces another's limit.
	state := groupState{why: "its control group can't do it"}
	if in.Memory <= want.Memory {
		state.in.Memory = in.Memory
	}
	if in.CPU <= want.CPU {
		state.in.CPU = in.CPU
	}
	if in.Tasks <= want.Tasks {
		state.in.Tasks = in.Tasks
	}
	switch {
	case errors.Is(err, platform.ErrUnsupported):
		state.why = "no control group can be had from this system"
	case err != nil:
		state.why = "the system gave it no control group; the log says why"
	}
	if err != nil {
		l.log.Info("no control group", "error", err)
	} else {
		l.log.Info("in a control group", "memory", state.in.Memory, "cpu_thousandths", state.in.CPU, "tasks", state.in.Tasks)
	}
	polite := false
	if sh.CPU > 0 && state.in.CPU == 0 {
		if err := platform.LowerPriority(); err != nil {
			l.log.Info("the priority is not lowered", "error", err)
		} else {
			polite = true
		}
	}
	l.mu.Lock()
	l.group, l.polite = state, polite
	l.mu.Unlock()
	l.changed()
}

// look compares what the process has taken with what it may take. What is only
// garbage does not count.
func (l *limits) look() {
	l.mu.Lock()
	most := int64(l.share.Memory)
	if l.group.in.Memory > 0 {
		most -= most / 10 // before the system kills it
	}
	l.mu.Unlock()
	took := ownMemory()
	if took > most {
		debug.FreeOSMemory()
		took = ownMemory()
	}
	sentence := ""
	if took > most {
		sentence = fmt.Sprintf("it took %s of memory, its limit is %s", roundMiB(took), l.share.Memory)
	}
	next := memoryLook
	if took > most/4*3 {
		next = memoryLookNear
	}
	l.mu.Lock()
	before := l.over
	l.over = sentence
	if !l.closed {
		l.watch.Reset(next)
	}
	l.mu.Unlock()
	switch {
	case before == "" && sentence != "":
		l.log.Warn("too much memory", "reason", sentence)
		l.changed()
	case before != "" && sentence == "":
		l.log.Info("the memory is within its limit again")
		l.changed()
	}
}

// filled is called when every slot has been in use for a while, and once more
// when that is over.
func (l *limits) filled(crowded, turned bool) {
	if crowded && l.makeRoom != nil {
		l.makeRoom()
	}
	if turned {
		l.changed()
	}
}

// ownMemory is what this process has taken, as well as this system can tell.
func ownMemory() int64 {
	if n, err := platform.OwnMemory(); err == nil {
		return n
	}
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return int64(samples[0].Value.Uint64() - samples[1].Value.Uint64())
}

// roundMiB leaves out what nobody wants to know.
func roundMiB(n int64) share.Bytes { return share.Bytes((n + 1<<19) >> 20 << 20) }

// atOnce is how many processors can be busy for a share of the time of them all.
func atOnce(cpu share.Processors) int { return int(cpu+999) / 1000 }
