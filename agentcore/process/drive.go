package process

import (
	"net/http"
	"os"
	"path"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"sharetray/agentcore/process/dav"
	"sharetray/agentcore/process/intake"
	"sharetray/agentcore/share"
)

func init() { kinds[share.Drive] = newDrive }

// drive is a folder over WebDAV. To browsers it is a web share: what they ask for
// is answered as there.
type drive struct {
	*web
	dav      *dav.Handler
	writable bool
}

func newDrive(s share.Share, env kindEnv) (kind, error) {
	k := &drive{web: &web{folder: newFolder(s.Target, s.HiddenFiles, env.changed), listing: s.Listing}, writable: s.Writable}
	k.folder.private = intake.Private
	opt := dav.Options{
		Root:     func() *os.Root { return k.folder.root.Load() },
		Writable: s.Writable, Hidden: s.HiddenFiles, MaxBytes: int64(s.MaxUpload), Reserve: int64(s.KeepFree),
		Prefix: prefixOf, Log: env.log,
		Done: func(e dav.Event) {
			if e.Op == http.MethodPut {
				env.uploaded(e.Request, "/"+e.Name, e.Bytes)
			}
		},
	}
	if env.locks != "" {
		opt.State = dav.StateFile(env.locks)
	}
	k.dav = dav.New(opt)
	return k, nil
}

// tune is for uploads too: the drive itself looks after visitors who stall.
func (k *drive) tune(s *caddyhttp.Server) { k.web.tune(s) }

func (k *drive) admit(w http.ResponseWriter, r *http.Request) bool {
	isApples := k.writable && dav.Apple(path.Base(strings.TrimSuffix(r.URL.Path, "/")))
	if (r.Method == http.MethodGet || r.Method == http.MethodHead) && !isApples {
		return k.web.admit(w, r)
	}
	k.folder.trusted() // a folder that is gone is none
	k.dav.ServeHTTP(w, r)
	return false
}
