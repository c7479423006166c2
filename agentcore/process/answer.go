package process

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"sharetray/assets/pages"
)

// downHeader marks answers that stand in for the target while it is down. The
// page that waits for its return looks for it.
const downHeader = "Sharetray-Down"

// answerPage answers in place of the share's content: with a page to browsers,
// with a sentence to everything else.
func answerPage(w http.ResponseWriter, r *http.Request, status int, p pages.Page) {
	h := w.Header()
	for _, name := range []string{"Content-Encoding", "Content-Length", "Etag", "Last-Modified"} {
		h.Del(name) // of what would have been answered
	}
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept")
	h.Set("X-Content-Type-Options", "nosniff")
	if p.Reload {
		h.Set(downHeader, "1")
		h.Set("Retry-After", "2")
	}
	var body bytes.Buffer
	if wantsPage(r) {
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", pages.CSP)
		if err := pages.Write(&body, p); err != nil {
			body.Reset()
			body.WriteString(p.Title)
		}
	} else {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(&body, p.Title+". "+p.Text+"\n")
	}
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = body.WriteTo(w) // the visitor may have left
	}
}

// wantsPage reports whether the visitor is a person's browser that navigates.
func wantsPage(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	for _, accept := range r.Header["Accept"] {
		if strings.Contains(accept, "text/html") {
			return true
		}
	}
	return false
}

// statusOf is the status that a Caddy handler's error asks for.
func statusOf(err error) int {
	var he caddyhttp.HandlerError
	if errors.As(err, &he) && he.StatusCode != 0 {
		return he.StatusCode
	}
	return http.StatusInternalServerError
}
