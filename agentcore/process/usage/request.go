package usage

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"sharetray/agentcore/link"
	"sharetray/agentcore/share"
)

// piece is after how many bytes of a file, which the kernel sends, it is looked
// at how far it is.
const piece = 8 << 20

// errOver ends the sending of a file that may not be downloaded any more.
var errOver = errors.New("no further download is allowed")

// Request is one request in the book, and its response writer.
type Request struct {
	inner    http.ResponseWriter
	r        *http.Request
	book     *Book
	began    time.Time
	status   int
	in, out  uint64
	length   string // Content-Length of the answer
	end      func(whole bool)
	partial  bool // of a file: not its end
	failed   bool // the visitor has left, for one
	over     bool
	admitted bool
	user     string
}

// Header is that of the response.
func (q *Request) Header() http.Header { return q.inner.Header() }

// Unwrap is for http.ResponseController.
func (q *Request) Unwrap() http.ResponseWriter { return q.inner }

// WriteHeader begins the answer, unless it is a download too many.
func (q *Request) WriteHeader(status int) {
	if q.status == 0 && status >= 200 {
		q.status, q.length = status, q.Header().Get("Content-Length")
		if q.book.opt.Files && q.book.opt.Download != nil && q.isFile() {
			var ok bool
			if q.end, ok = q.book.opt.Download(); !ok {
				q.over = true
			}
		}
	}
	if !q.over {
		q.inner.WriteHeader(status)
	}
}

// Write sends a part of the answer.
func (q *Request) Write(p []byte) (int, error) {
	if q.status == 0 {
		q.WriteHeader(http.StatusOK)
	}
	if q.over {
		return 0, errOver
	}
	n, err := q.inner.Write(p)
	q.sent(int64(n), err)
	return n, err
}

// ReadFrom sends what from has, in the way that the server's own response writer
// has for files.
func (q *Request) ReadFrom(from io.Reader) (n int64, err error) {
	if q.status == 0 {
		q.WriteHeader(http.StatusOK)
	}
	if q.over {
		return 0, errOver
	}
	to, ok := q.inner.(io.ReaderFrom)
	if !ok {
		return io.Copy(struct{ io.Writer }{q}, from)
	}
	whole, ok := from.(*io.LimitedReader)
	if !ok {
		n, err = to.ReadFrom(from)
		q.sent(n, err)
		return n, err
	}
	// The system's way to send files looks into one io.LimitedReader, not two.
	for whole.N > 0 && err == nil {
		part := io.LimitedReader{R: whole.R, N: min(whole.N, piece)}
		var m int64
		m, err = to.ReadFrom(&part)
		q.sent(m, err)
		n += m
		whole.N -= m
		if part.N > 0 { // it has ended
			break
		}
	}
	return n, err
}

func (q *Request) sent(n int64, err error) {
	q.failed = q.failed || err != nil
	q.out += uint64(n)
	q.book.out.Add(uint64(n))
	q.book.changed()
}

// Over reports whether the answer was held back, because it would have been a
// download too many. Another one can be given then.
func (q *Request) Over() bool {
	over := q.over
	if over {
		q.over, q.status, q.end = false, 0, nil
	}
	return over
}

// Status is that of the answer; 0 is none.
func (q *Request) Status() int { return q.status }

// Admit says that the visitor was let in, and by what name. Those that were not are
// no visitors.
func (q *Request) Admit(user string) {
	q.admitted, q.user = true, user
	q.book.come(addrOf(q.r))
}

// End is called when the request is served.
func (q *Request) End() {
	b, user := q.book, q.user
	now := time.Now()
	whole := q.isWhole()
	if q.end != nil {
		q.end(whole && !q.partial)
	}
	addr := addrOf(q.r)
	if q.admitted {
		b.leave(addr)
	}
	if q.admitted && b.note(q, addr, user, now) {
		b.opt.Visit(link.Visit{What: share.FirstVisit, Addr: addr, User: user, Path: short(q.r.URL.Path)})
	}
	if b.opt.Files && whole && q.isFile() && !q.partial {
		b.opt.Visit(link.Visit{What: share.DownloadVisit, Addr: addr, User: user, Path: q.r.URL.Path, Bytes: q.out})
	}
	if b.log != nil {
		b.log.line(q, addr, user)
	}
	b.changed()
}

// isWhole reports whether all of what was announced was sent.
func (q *Request) isWhole() bool {
	return !q.failed && (q.status == http.StatusOK || q.status == http.StatusPartialContent) &&
		(q.length == "" || q.length == decimal(q.out)) && q.r.Context().Err() == nil
}

// pageTypes are of files that a page consists of: whoever looks at one does not
// download.
var pageTypes = []string{"text/html", "text/css", "text/javascript", "application/javascript", "application/json", "font/"}

// isFile reports whether the answer is a file that somebody downloads. It says
// in q whether it is one of a file's first parts: who asks for one after the
// other has the file with the last one.
func (q *Request) isFile() bool {
	if q.r.Method != http.MethodGet || q.status != http.StatusOK && q.status != http.StatusPartialContent || strings.HasSuffix(q.r.URL.Path, "/") {
		return false
	}
	h := q.Header()
	for _, t := range pageTypes {
		if strings.HasPrefix(h.Get("Content-Type"), t) {
			return false
		}
	}
	if q.status == http.StatusPartialContent {
		bounds, size, ok := strings.Cut(strings.TrimPrefix(h.Get("Content-Range"), "bytes "), "/")
		_, last, dash := strings.Cut(bounds, "-")
		q.partial = ok && dash && !isLast(last, size)
	}
	return true
}

// body counts what a visitor sends.
type body struct {
	io.ReadCloser
	q *Request
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.q.in += uint64(n)
	b.q.book.in.Add(uint64(n))
	if n > 0 {
		b.q.book.changed()
	}
	return n, err
}
