// Package usage counts how a share is used, above all over HTTP: requests, bytes,
// visitors, finished downloads. It writes a line about each request to an access log.
//
// It must not know what is shared, nor who may visit. It never stands between
// the server and its connection in a way that would keep files from being sent
// by the kernel.
package usage

import (
	"container/list"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"sharetray/agentcore/link"
	"sharetray/agentcore/share"
)

// Bounds of what is remembered: visitors, and bytes of what each says.
const (
	maxVisitors = 200
	maxText     = 200
)

// tellEvery is how often at most it is told that numbers have changed.
const tellEvery = time.Second

// Options are what a Book may be told.
type Options struct {
	// Visit is told what visitors do: see share.Visits. It must not wait.
	Visit func(link.Visit)
	// Changed is called when the numbers have changed, about once a second at
	// most. It must not wait.
	Changed func()
	// Log takes a line for each request; nil: none is written.
	Log io.Writer
	// Files: what is sent are files, whose downloads count.
	Files bool
	// Download is asked before a file is sent, and told at its end whether all
	// of it was. nil: every download is fine.
	Download func() (end func(whole bool), ok bool)
}

// Book is what is known of a share's use. It is safe for concurrent use.
type Book struct {
	opt     Options
	in, out atomic.Uint64
	log     *accessLog
	telling atomic.Bool // a call of Changed is due

	mu     sync.Mutex
	byAddr map[string]*list.Element
	now    map[string]int // requests of each address that are being served
	latest list.List      // of *link.Visitor, the last one first
}

// New is a Book without an entry.
func New(opt Options) *Book {
	if opt.Visit == nil {
		opt.Visit = func(link.Visit) {}
	}
	b := &Book{opt: opt, byAddr: map[string]*list.Element{}, now: map[string]int{}}
	if opt.Log != nil {
		b.log = &accessLog{w: opt.Log}
	}
	return b
}

// Bytes are what visitors have sent, and were sent, so far: bodies only.
func (b *Book) Bytes() (in, out uint64) { return b.in.Load(), b.out.Load() }

// Visitors are the last ones, the latest first.
func (b *Book) Visitors() []link.Visitor {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]link.Visitor, 0, b.latest.Len())
	for e := b.latest.Front(); e != nil; e = e.Next() {
		all = append(all, *e.Value.(*link.Visitor))
	}
	return all
}

// Present is how many addresses are being served.
func (b *Book) Present() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.now)
}

// come and leave count who is being served.
func (b *Book) come(addr string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now[addr]++
}

func (b *Book) leave(addr string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.now[addr]--; b.now[addr] == 0 {
		delete(b.now, addr)
	}
}

// Uploaded tells of a file that a visitor has added.
func (b *Book) Uploaded(r *http.Request, path string, size int64) {
	b.opt.Visit(link.Visit{What: share.UploadVisit, Addr: addrOf(r), Path: path, Bytes: uint64(max(size, 0))})
}

// Flush writes what waits to be written to the log.
func (b *Book) Flush() {
	if b.log != nil {
		b.log.flush()
	}
}

// Begin takes a request into the book. What serves it must use what it returns
// as the response writer, and End must be called at the end.
func (b *Book) Begin(w http.ResponseWriter, r *http.Request) *Request {
	q := &Request{inner: w, r: r, book: b, began: time.Now()}
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &body{r.Body, q}
	}
	return q
}

// Came notes a visit that is no request: a connection, say.
func (b *Book) Came(addr string) {
	now := time.Now()
	b.mu.Lock()
	v, first := b.visitor(addr, now)
	v.Requests++
	v.Last = now
	b.mu.Unlock()
	if first {
		b.opt.Visit(link.Visit{What: share.FirstVisit, Addr: addr})
	}
	b.changed()
}

// note enters a request that has ended among its visitor's, and reports whether
// this is the first of him.
func (b *Book) note(q *Request, addr, user string, now time.Time) (first bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	v, first := b.visitor(addr, q.began)
	v.User, v.Agent, v.Path = user, short(q.r.UserAgent()), short(q.r.URL.Path)
	v.Requests++
	v.BytesIn += q.in
	v.BytesOut += q.out
	v.Last = now
	return first
}

// visitor returns the entry of a visitor, and reports whether it is new. b.mu is
// held.
func (b *Book) visitor(addr string, came time.Time) (v *link.Visitor, first bool) {
	e := b.byAddr[addr]
	if e == nil {
		first = true
		if b.latest.Len() >= maxVisitors {
			oldest := b.latest.Back()
			delete(b.byAddr, oldest.Value.(*link.Visitor).Addr)
			b.latest.Remove(oldest)
		}
		e = b.latest.PushFront(&link.Visitor{Addr: addr, First: came})
		b.byAddr[addr] = e
	} else {
		b.latest.MoveToFront(e)
	}
	return e.Value.(*link.Visitor), first
}

func (b *Book) changed() {
	if b.opt.Changed == nil || b.telling.Swap(true) {
		return
	}
	time.AfterFunc(tellEvery, func() {
		b.telling.Store(false)
		b.opt.Changed()
	})
}

func addrOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// short bounds what a visitor says of himself.
func short(s string) string {
	if len(s) <= maxText {
		return s
	}
	n := maxText
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
