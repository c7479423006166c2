package adopt

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"sharetray/agentcore/record"
	"sharetray/agentcore/supervise"
	"sharetray/platform"
)

// Candidate is one share process that may be there.
type Candidate struct {
	Sight
	Link   string // the path of its link
	Record string // the path of its record
	Found  *supervise.Found
}

// Forget removes what a process that has ended left behind.
func (c Candidate) Forget() {
	platform.RemoveLink(c.Link)
	os.Remove(c.Record)
}

// answerTime is how long a process may take to say who it is before it counts as
// silent. A silent one is asked on, so this only bounds how long it holds up the
// others.
const answerTime = 500 * time.Millisecond

// Survey looks who is there: by the links in l.Links and the records in
// l.Records. Nothing is changed by it.
func Survey(ctx context.Context, l supervise.Launch, log *slog.Logger) []Candidate {
	return SurveyOf(ctx, l, log, func(string, string) bool { return true })
}

// SurveyOf asks only those whose link and record are to be touched.
func SurveyOf(ctx context.Context, l supervise.Launch, log *slog.Logger, touch func(link, record string) bool) []Candidate {
	type trace struct {
		link string
		rec  *record.Record
	}
	traces := map[string]trace{} // by the path of the record
	if entries, err := os.ReadDir(l.Links); err == nil {
		for _, e := range entries {
			link := filepath.Join(l.Links, strings.TrimSuffix(e.Name(), platform.LifeSuffix))
			traces[record.Path(l.Records, link)] = trace{link: link}
		}
	}
	records, err := record.List(l.Records)
	if err != nil {
		log.Warn("share processes can only be found by their links", "error", err)
	}
	for _, r := range records {
		switch {
		case r.Err == nil:
			traces[r.Path] = trace{r.Record.Link, &r.Record}
		case errors.Is(r.Err, record.ErrForeign), errors.Is(r.Err, record.ErrNewer):
			log.Warn("a record is left alone", "path", r.Path, "reason", r.Err)
		default:
			log.Warn("a record can't be used", "path", r.Path, "reason", r.Err)
			if t := traces[r.Path]; t.link == "" {
				traces[r.Path] = trace{link: filepath.Join(l.Links, strings.TrimSuffix(filepath.Base(r.Path), filepath.Ext(r.Path)))}
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	var all sync.WaitGroup
	var mu sync.Mutex
	var found []Candidate
	for path, t := range traces {
		if !touch(t.link, path) {
			continue
		}
		all.Go(func() {
			c := look(ctx, l, t.link, t.rec)
			c.Record = path
			mu.Lock()
			defer mu.Unlock()
			found = append(found, c)
		})
	}
	all.Wait()
	return found
}

// look asks who is behind one link.
func look(ctx context.Context, l supervise.Launch, link string, rec *record.Record) Candidate {
	c := Candidate{Link: link}
	if rec != nil {
		c.Share = rec.Share.String()
	}
	f, err := supervise.Meet(ctx, l, link, rec)
	switch {
	case err == nil:
		c.Found, c.Share, c.Recorded = f, f.Share, rec != nil
		if c.Answer = Silent; f.Answered {
			c.Answer, c.Duty, c.Order = Ours, f.Role.Duty, f.Role.Order
		}
	case errors.Is(err, supervise.ErrNobody):
		c.Answer = Nobody
	case errors.Is(err, supervise.ErrStranger):
		c.Answer = Stranger
	case errors.Is(err, supervise.ErrVersion):
		c.Answer = Newer
	default:
		c.Answer = Silent
	}
	return c
}
