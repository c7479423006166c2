package supervise

import (
	"context"
	"slices"
	"time"

	"sharetray/agentcore/mailbox"
	"sharetray/agentcore/pulse"
	"sharetray/platform"
)

// lookout looks at the queues in which visitors wait to be accepted, those of all
// shares in one go. Of a process that hangs they tell within two looks, so that
// one that nobody visits need not be asked often whether it does (Policy.Ease).
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

// lookAgain is when it is looked again at a queue in which somebody waits: that
// somebody does for a moment is usual.
const lookAgain = 250 * time.Millisecond

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
	due := time.NewTimer(pulse.Next())
	defer due.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.mail.Ready():
			for _, do := range l.mail.Take() {
				do(all)
			}
		case <-due.C:
			next := pulse.Next()
			for owner, q := range all {
				if q.look(owner) {
					next = min(next, lookAgain)
				}
			}
			due.Reset(next)
		}
	}
}

// look has a share's process asked how it is if its visitors wait, as they did at
// the look before. It reports whether they have begun to.
func (q *queue) look(owner *Supervisor) bool {
	waited := q.waited
	q.waited = slices.ContainsFunc(q.socks, (*platform.Socket).Waiting)
	if waited && q.waited {
		owner.mail.Put(letter{hurry: true})
	}
	return q.waited && !waited
}
