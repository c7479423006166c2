package process

import (
	"io"
	"os"
	"path/filepath"

	"golang.org/x/time/rate"

	"sharetray/agentcore/link"
	"sharetray/agentcore/logfile"
	"sharetray/agentcore/process/usage"
	"sharetray/assets/pages"
)

// Visits are told one by one, but no more of them than people can read.
const (
	visitsPerSecond = 5
	visitsAtOnce    = 20
)

var overPage = pages.Page{Title: "This share has ended", Text: "It was meant for a number of downloads, and they are done."}

// newBook makes the book of a share's visitors.
func (p *process) newBook(m link.Serve) *usage.Book {
	opt := usage.Options{Changed: p.targetChanged, Files: m.Share.Kind.HasFolder()}
	some := rate.NewLimiter(visitsPerSecond, visitsAtOnce)
	opt.Visit = func(v link.Visit) {
		if c := p.agent.Load(); c != nil && some.Allow() {
			go c.Tell(link.Message{Type: link.TypeDone, Visit: &v}) // a lost agent misses it
		}
	}
	if m.Share.AccessLog && m.Log.Path != "" {
		opt.Log = &lateLog{log: m.Log}
	}
	return usage.New(opt)
}

// lateLog is a log that is opened when there is something to write: most shares
// are not visited most of the time.
type lateLog struct {
	log link.Log
	w   io.Writer
}

func (l *lateLog) Write(b []byte) (int, error) {
	if l.w == nil {
		dir := filepath.Dir(l.log.Path)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return 0, err
		}
		w, err := logfile.Open(filepath.Join(dir, logfile.AccessName), l.log.MaxBytes, l.log.Keep)
		if err != nil {
			return 0, err
		}
		l.w = w
	}
	return l.w.Write(b)
}

// guests are the share's last visitors.
func (p *process) guests() []link.Visitor {
	p.mu.Lock()
	st := p.stage
	p.mu.Unlock()
	if st == nil {
		return nil
	}
	return st.book.Visitors()
}
