package process

import (
	"io"
	"net/http"
	"os"
	"path/filepath"

	"golang.org/x/time/rate"

	"sharetray/agentcore/link"
	"sharetray/agentcore/logfile"
	"sharetray/agentcore/process/access"
	"sharetray/agentcore/process/usage"
	"sharetray/assets/pages"
)

// Visits are told one by one, but no more of them than people can read.
const (
	visitsPerSecond = 5
	visitsAtOnce    = 20
)

// answerOver answers in place of a download too many.
func (s *stage) answerOver(w http.ResponseWriter, r *http.Request) {
	if s.guard.Ended() != "" {
		answerPage(w, r, access.Expired, guardPages[access.Expired])
		return
	}
	answerPage(w, r, http.StatusServiceUnavailable, pages.Page{
		Title: "Others are downloading this now", Text: "It may be downloaded a few times only, and those are under way. It goes on if one of them breaks off.", Reload: true,
	})
}

// newBook makes the book of a stage's visitors.
func (p *process) newBook(m link.Serve, guard *access.Guard) *usage.Book {
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
	if t := guard.Tally(); t != nil {
		opt.Download = countDownload(t, p.targetChanged)
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
	st := p.serving()
	if st == nil {
		return nil
	}
	return st.book.Visitors()
}
