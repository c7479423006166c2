package upload

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"

	"sharetray/assets/pages"
)

// Page answers with the page on which files are added to a folder. listing says
// whether visitors may see what is in it.
func (h *Handler) Page(w http.ResponseWriter, r *http.Request, listing bool) {
	h.page(w, r, http.StatusOK, pages.Upload{Listing: listing})
}

func (h *Handler) page(w http.ResponseWriter, r *http.Request, status int, p pages.Upload) {
	p.Folder = strings.TrimSuffix(path.Base(path.Clean("/"+r.URL.Path)), "/")
	if h.o.MaxBytes > 0 {
		p.Most, p.MostInWords = h.o.MaxBytes, bytesInWords(h.o.MaxBytes)
	}
	var body bytes.Buffer
	if err := pages.WriteUpload(&body, p); err != nil {
		h.o.Log.Error("the page for uploads can't be made", "error", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	head := w.Header()
	head.Set("Content-Type", "text/html; charset=utf-8")
	head.Set("Content-Security-Policy", pages.UploadCSP)
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Content-Length", fmt.Sprint(body.Len()))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = body.WriteTo(w) // the visitor may have left
	}
}

// thank answers a form.
func (h *Handler) thank(w http.ResponseWriter, r *http.Request, names []string) {
	said := "Added: " + strings.Join(names, ", ") + "."
	if wantsPage(r) {
		h.page(w, r, http.StatusOK, pages.Upload{Said: said})
		return
	}
	h.answer(w, r, http.StatusCreated, said)
}

// answer says one sentence, in the way that who asks understands.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, status int, sentence string) {
	head := w.Header()
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	switch accept := r.Header.Get("Accept"); {
	case wantsPage(r):
		h.page(w, r, status, pages.Upload{Said: sentence, Wrong: status >= 400})
	case strings.Contains(accept, "application/json"):
		head.Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"message": sentence})
	default:
		head.Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		if r.Method != http.MethodHead {
			_, _ = io.WriteString(w, sentence+"\n")
		}
	}
}

func wantsPage(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }
