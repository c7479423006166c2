package process

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/netip"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"sharetray/agentcore/share"
)

// kinds has an entry for each kind of share that this process can be. Each
// kind is a file of its own, which adds itself here.
var kinds = map[share.Kind]func(share.Share, kindEnv) (kind, error){}

// kindEnv is what a kind may know of the process around it.
type kindEnv struct {
	changed func() // to be called when targetError has changed
	log     *slog.Logger
	via     string // names this process in what it sends upstream
	locks   string // the file for the locks of a drive's visitors; "": none
	// received is the file for which files visitors have added; "": none.
	received string
	probes   *expected // announces probes that are no requests
	// came tells of a visitor who makes no requests.
	came func(netip.Addr)
	// uploaded tells of a file that a visitor has added.
	uploaded func(r *http.Request, path string, size int64)
}

// kind is what serves a share. An error of its constructor is one of the
// configuration: trying again would not mend it. What may mend itself, a
// missing folder or an app that is down, is a targetError instead.
type kind interface {
	// handlers are the Caddy handlers that serve, after the front handler.
	handlers() []json.RawMessage
	// tune adapts the server's limits to what the kind serves.
	tune(*caddyhttp.Server)
	// admit looks at a request before the handlers do, and reports whether
	// they may have it; if not, it has answered.
	admit(http.ResponseWriter, *http.Request) bool
	// explain answers a request that the handlers failed with err, or returns
	// an error for Caddy to log and to answer.
	explain(http.ResponseWriter, *http.Request, error) error
	// check looks whether the target can be served, and may take its time.
	check()
	// targetError says why the target can't be served, as a sentence; "" when
	// it can. It never waits.
	targetError() string
	// start is called once, when the share is being served.
	start()
}

// configurer is a kind that makes the whole of Caddy's configuration.
type configurer interface {
	configure(*stage) (*caddy.Config, error)
	// wants are the ports that it needs sockets for, besides the share's own.
	wants() []uint16
}

// linker is a kind that may know a better link than the share's address.
type linker interface {
	link(*stage) string
}

// ender is a kind that has something to end when nobody is served any more.
type ender interface {
	end()
}

// tidier is a kind that leaves something behind which nobody needs any more.
type tidier interface {
	tidy()
}

// provisioner is a kind that gives something to Caddy while it is set up.
type provisioner interface {
	provision(caddy.Context) error
}
