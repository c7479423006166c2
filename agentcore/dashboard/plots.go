package dashboard

import (
	"fmt"
	"html/template"
	"strings"
	"sync"
	"time"

	"sharetray/agentcore/link"
)

const (
	bucketTime  = 5 * time.Second
	bucketCount = 60 // so that plots show five minutes
)

// samples are what shares have done of late, for small plots.
type samples struct {
	mu sync.Mutex
	of map[string]*series
}

// series is one share's: in each bucket what happened in those seconds.
type series struct {
	last    link.Use
	known   bool
	buckets [bucketCount]bucket
}

type bucket struct {
	at              int64 // its number since 1970
	requests, bytes uint64
}

func newSamples() *samples { return &samples{of: map[string]*series{}} }

// add counts what has happened between the last look at a share's use and now.
func (s *samples) add(name string, use link.Use, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.of[name]
	if r == nil {
		r = &series{}
		s.of[name] = r
	}
	if r.known && use.Requests >= r.last.Requests && use.BytesIn >= r.last.BytesIn && use.BytesOut >= r.last.BytesOut {
		at := now.UnixNano() / int64(bucketTime)
		b := &r.buckets[at%bucketCount]
		if b.at != at {
			*b = bucket{at: at}
		}
		b.requests += use.Requests - r.last.Requests
		b.bytes += use.BytesIn - r.last.BytesIn + use.BytesOut - r.last.BytesOut
	}
	r.last, r.known = use, true
}

func (s *samples) forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.of, name)
}

// recent are the buckets up to now, the oldest first.
func (s *samples) recent(name string, now time.Time) (requests, bytes [bucketCount]uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.of[name]
	if r == nil {
		return requests, bytes
	}
	at := now.UnixNano() / int64(bucketTime)
	for i := range bucketCount {
		if b := r.buckets[(at-int64(bucketCount-1-i))%bucketCount]; b.at == at-int64(bucketCount-1-i) {
			requests[i], bytes[i] = b.requests, b.bytes
		}
	}
	return requests, bytes
}

// plot draws values as an SVG of bars. Its words are for who can't see it.
func plot(values [bucketCount]uint64, label string) template.HTML {
	const width, height = 4, 40
	most := uint64(1)
	for _, v := range values {
		most = max(most, v)
	}
	var path strings.Builder
	for i, v := range values {
		if v == 0 {
			continue
		}
		h := max(1, float64(v)/float64(most)*height)
		fmt.Fprintf(&path, "M%d %gh%dv%.4gh-%dz", i*width, height-h, width-1, h, width-1)
	}
	return template.HTML(fmt.Sprintf(`<svg class="plot" viewBox="0 0 %d %d" preserveAspectRatio="none" role="img" aria-label="%s"><path d="%s"/></svg>`,
		bucketCount*width, height, template.HTMLEscapeString(label), path.String()))
}
