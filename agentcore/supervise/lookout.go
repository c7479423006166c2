package supervise

import (
	"context"
	"slices"
	"time"

	"sharetray/agentcore/mailbox"
	"sharetray/platform"
)

// lookout looks at the queues in which visitors wait to be accepted, those of all
// shares in one go. Of a process that hangs they tell within two looks, so that
// one that nobody visits need not be asked often whether it does (Policy.Ease).
// Where a system doesn't show its queues, checks don't get rarer.
//
// One goroutine owns it.
type lookout struct {
	mail *mailbox.Box[func(map[*Supervisor]*queue)]
}

// queue is where the visitors of one share wait.
type queue struct {
	socks  []*platform.Socket
	waited bool // somebody did at the last look
}

// lookEvery is the pause between two looks: 0.1 ms of work for a hundred shares.
const lookEvery = 2 * time.Second

func newLookout(ctx context.Context) *lookout {
	l := &lookout{mail: mailbox.New[func(map[*Supervisor]*queue)]()}
	go l.run(ctx)
	return l
}

// watch looks after the queue of owner's sockets, in place of those before. They
// may be closed at any time.
func (l *lookout) watch(owner *Supervisor, socks []*platform.Socket) {
	l.mail.Put(func(all map[*Supervisor]*queue) { all[owner] = &queue{socks: socks} })
}

func (l *lookout) forget(owner *Supervisor) {
	l.mail.Put(func(all map[*Supervisor]*queue) { delete(all, owner) })
}

func (l *lookout) run(ctx context.Context) {
	all := map[*Supervisor]*queue{}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		var due <-chan time.Time // nil: there is nothing to look at
		if len(all) > 0 {
			due = tick.C
		}
		select {
		case <-ctx.Done():
			return
		case <-l.mail.Ready():
			for _, do := range l.mail.Take() {
				do(all)
			}
		case <-due:
			for owner, q := range all {
				q.look(owner)
			}
		}
	}
}

// look has a share's process asked how it is if its visitors wait. That they do
// for a moment is usual.
func (q *queue) look(owner *Supervisor) {
	waits := slices.ContainsFunc(q.socks, func(s *platform.Socket) bool { return s.Waiting() > 0 })
	if waits && q.waited {
		owner.mail.Put(letter{hurry: true})
	}
	q.waited = waits
}
