package process

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/encode"
	caddybrotli "github.com/caddyserver/caddy/v2/modules/caddyhttp/encode/brotli"
	caddygzip "github.com/caddyserver/caddy/v2/modules/caddyhttp/encode/gzip"
	caddyzstd "github.com/caddyserver/caddy/v2/modules/caddyhttp/encode/zstd"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"

	"sharetray/agentcore/process/intake"
	"sharetray/agentcore/share"
	"sharetray/assets/pages"
)

func init() { kinds[share.Web] = newWeb }

// fsName is the shared folder's name among Caddy's file systems.
const fsName = "folder"

// web serves a folder: Caddy's file server on a file system of ours.
type web struct {
	folder  *folder
	listing bool
	uploads *uploads // nil: nothing can be added
}

func newWeb(s share.Share, env kindEnv) (kind, error) {
	k := &web{folder: newFolder(s.Target, s.HiddenFiles, env.changed), listing: s.Listing}
	if s.Upload {
		k.uploads = newUploads(s, k, env)
	}
	return k, nil
}

// provision gives Caddy the folder. Its app "caddy.filesystems" would do the
// same from JSON, but its entries are of a type that only Caddy can make.
func (k *web) provision(ctx caddy.Context) error {
	ctx.FileSystems().Register(fsName, k.folder)
	return nil
}

func (k *web) handlers() []json.RawMessage {
	files := fileserver.FileServer{
		FileSystem: fsName,
		Root:       ".",
		PrecompressedRaw: caddy.ModuleMap{
			"br":   caddyconfig.JSON(caddybrotli.BrotliPrecompressed{}, nil),
			"zstd": caddyconfig.JSON(caddyzstd.ZstdPrecompressed{}, nil),
			"gzip": caddyconfig.JSON(caddygzip.GzipPrecompressed{}, nil),
		},
		PrecompressedOrder: []string{"br", "zstd", "gzip"},
	}
	if k.listing {
		files.Browse = &fileserver.Browse{}
	}
	return []json.RawMessage{
		encodeHandler(),
		caddyconfig.JSONModuleObject(files, "handler", "file_server", nil),
	}
}

// encodeHandler compresses what is worth it, as `caddy file-server` does.
func encodeHandler() json.RawMessage {
	return caddyconfig.JSONModuleObject(encode.Encode{
		EncodingsRaw: caddy.ModuleMap{
			"zstd": caddyconfig.JSON(caddyzstd.Zstd{}, nil),
			"gzip": caddyconfig.JSON(caddygzip.Gzip{}, nil),
		},
		Prefer: []string{"zstd", "gzip"},
	}, "handler", "encode", nil)
}

// tune turns off Caddy's timers around each read and write. The one for writes
// hands over files in pieces that hide that they are files, so that sendfile is
// never used; the gate has the system watch for stalled visitors instead.
func (k *web) tune(s *caddyhttp.Server) {
	s.WriteIdleTimeout = -1
	s.ReadIdleTimeout = -1
}

func (k *web) admit(w http.ResponseWriter, r *http.Request) bool {
	if k.uploads != nil && !k.uploads.admit(w, r, k) {
		return false
	}
	if r.ContentLength != 0 {
		// Nobody reads a body here; don't wait long for one either.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(10 * time.Second))
		w.Header().Set("Connection", "close")
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		answerPage(w, r, http.StatusMethodNotAllowed, webErrors[http.StatusMethodNotAllowed])
		return false
	}
	if strings.IndexByte(r.URL.Path, 0) >= 0 {
		answerPage(w, r, http.StatusBadRequest, webErrors[http.StatusBadRequest])
		return false
	}
	if k.folder.trusted() {
		return true
	}
	answerPage(w, r, http.StatusServiceUnavailable, pages.Page{
		Title:  "The shared folder is not there",
		Text:   "The computer that shares it is on, but the folder was moved, removed or unplugged.",
		Reload: true,
	})
	return false
}

var webErrors = map[int]pages.Page{
	http.StatusBadRequest:       {Title: "That address makes no sense", Text: "Check it for a typing mistake."},
	http.StatusForbidden:        {Title: "This can't be read", Text: "The computer that shares it is not allowed to read it itself."},
	http.StatusNotFound:         {Title: "There is nothing here", Text: "The file or folder does not exist, or is not shared."},
	http.StatusMethodNotAllowed: {Title: "This share can only be read", Text: "Nothing can be sent to it."},
}

func (k *web) explain(w http.ResponseWriter, r *http.Request, err error) error {
	status := statusOf(err)
	p, ok := webErrors[status]
	if !ok {
		return err // ours to mend: Caddy logs it
	}
	answerPage(w, r, status, p)
	return nil
}

// tidy removes the folder for what comes in, if there is nothing in it.
func (k *web) tidy() {
	if root := k.folder.root.Load(); root != nil && k.folder.private != nil {
		_ = root.Remove(intake.Folder)
	}
}

func (k *web) check()              { k.folder.look() }
func (k *web) targetError() string { return k.folder.targetError() }
func (k *web) start()              {}
