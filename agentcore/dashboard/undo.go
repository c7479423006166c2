package dashboard

import (
	"crypto/rand"
	"sync"
	"time"

	"sharetray/agentcore"
)

const (
	undoLife  = time.Hour // for how long a removal can be undone
	undoCount = 20        // how many removals can
)

// undo remembers what was removed of late.
type undo struct {
	mu   sync.Mutex
	what []undoable // the oldest first
}

type undoable struct {
	id   string
	at   time.Time
	what agentcore.Discarded
}

// keep remembers what was removed, and returns the id by which it can be had back.
func (u *undo) keep(what agentcore.Discarded) (id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.what) >= undoCount {
		u.what = u.what[1:]
	}
	id = rand.Text()
	u.what = append(u.what, undoable{id, time.Now(), what})
	return id
}

func (u *undo) has(id string) bool {
	_, ok := u.find(id)
	return ok
}

func (u *undo) find(id string) (agentcore.Discarded, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, w := range u.what {
		if w.id == id && time.Since(w.at) < undoLife {
			return w.what, true
		}
	}
	return agentcore.Discarded{}, false
}

// done forgets what has been brought back.
func (u *undo) done(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i, w := range u.what {
		if w.id == id {
			u.what = append(u.what[:i:i], u.what[i+1:]...)
			return
		}
	}
}
