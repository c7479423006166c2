package agentcore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"sharetray/agentcore/history"
	"sharetray/agentcore/logfile"
	"sharetray/agentcore/mailbox"
	"sharetray/agentcore/supervise"
)

// scribe writes into a share's log what its process can't: how it ended, and
// that another took its place. It has a goroutine of its own, because a disk may
// be slow.
type scribe struct {
	agent *Agent
	past  *history.Log
	mail  *mailbox.Box[logLine]
	done  chan struct{}
}

// logLine is a line for one share's log, an entry for its history, or, if it is
// neither, that both are to be forgotten. done, if set, is closed then. The zero
// value ends the scribe.
type logLine struct {
	share string
	at    time.Time
	text  string
	past  *history.Entry
	done  chan struct{}
}

func newScribe(a *Agent) *scribe {
	s := &scribe{agent: a, past: history.Open(a.paths.History), mail: mailbox.New[logLine](), done: make(chan struct{})}
	go s.run()
	return s
}

// note has a supervisor's notice written.
func (s *scribe) note(share string, n supervise.Notice) {
	text := ""
	switch n.Kind {
	case supervise.NoticeCrashed:
		text = "the share process ended: " + n.Cause
	case supervise.NoticeRecovered:
		text = fmt.Sprintf("another process serves the share, after %v", n.Downtime.Round(100*time.Microsecond))
	case supervise.NoticeFailed:
		text = "given up: " + n.Cause
	case supervise.NoticeBlocked:
		text = "waiting: " + n.Cause
	case supervise.NoticeLimited:
		text = "a limit: " + n.Cause
	case supervise.NoticeExpired:
		text = n.Cause
	case supervise.NoticeAdopted:
		text = "another agent looks after the share now"
	}
	s.mail.Put(logLine{share: share, at: time.Now(), text: text})
}

// remember has an entry added to a share's history.
func (s *scribe) remember(share string, e history.Entry) { s.mail.Put(logLine{share: share, past: &e}) }

// forget has a share's log and history removed, after all that was to be added to
// them. The channel is closed when they are.
func (s *scribe) forget(share string) (done chan struct{}) {
	done = make(chan struct{})
	s.mail.Put(logLine{share: share, done: done})
	return done
}

// end has the last lines written.
func (s *scribe) end() {
	s.mail.Put(logLine{})
	<-s.done
}

func (s *scribe) run() {
	defer close(s.done)
	for {
		<-s.mail.Ready()
		for _, l := range s.mail.Take() {
			if l.share == "" {
				return
			}
			if err := s.write(l); err != nil {
				s.agent.opt.Log.Warn("a share's log or history could not be written", "share", l.share, "error", err)
			}
		}
	}
}

func (s *scribe) write(l logLine) error {
	switch {
	case l.past != nil:
		return s.past.Append(l.share, *l.past)
	case l.done != nil:
		defer close(l.done)
		return errors.Join(os.RemoveAll(filepath.Dir(s.agent.logPath(l.share))), s.past.Remove(l.share))
	}
	path := s.agent.logPath(l.share)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	w, err := logfile.Open(path, s.agent.settings.Logs.MaxBytes, s.agent.settings.Logs.Keep)
	if err != nil {
		return err
	}
	defer w.Close()
	_, err = fmt.Fprintf(w, "%s\tAGENT\t%s\n", l.at.Format("2006-01-02 15:04:05.000"), l.text)
	return err
}
