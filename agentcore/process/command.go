package process

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"sharetray/agentcore/process/command"
	"sharetray/agentcore/share"
	"sharetray/assets/pages"
)

func init() { kinds[share.Command] = newCommand }

// Visitors who come while a program is being started again are held for so long;
// those of a program that is known to be down are told sooner.
const (
	holdVisitors = 20 * time.Second
	holdRefused  = 5 * time.Second
)

// program is a command whose port is served: requests are handed on to it, and held
// while it is being started again.
type program struct {
	*proxy
	runner  *command.Runner
	serves  bool // it has a port; else it makes links of its own
	changed func()
}

func newCommand(s share.Share, env kindEnv) (kind, error) {
	spec := command.Spec{
		Args: s.Argv(), Shell: s.Shell, Dir: s.Dir, Env: s.Env.Values(), Ready: s.Ready, ReadyPath: s.ReadyPath,
		ReadyTimeout: s.ReadyTimeout, Watch: s.Watch.Values(), Grace: max(time.Second, s.StopGrace/3), Mark: markOf(s, env),
	}
	for _, p := range []struct {
		text string
		to   **regexp.Regexp
	}{{s.ReadyLine, &spec.ReadyLine}, {s.LinkPattern, &spec.Link}} {
		if p.text != "" {
			re, err := regexp.Compile(p.text)
			if err != nil {
				return nil, err
			}
			*p.to = re
		}
	}
	if len(spec.Args) == 0 {
		return nil, errors.New("there is no command to run")
	}
	runner, err := command.New(spec, command.Options{Changed: env.changed, Output: &output, Log: env.log})
	if err != nil {
		return nil, err
	}
	addr := "127.0.0.1:" + strconv.Itoa(int(runner.Port()))
	k := &program{
		proxy:  &proxy{target: &url.URL{Scheme: "http", Host: addr}, addr: addr, via: env.via},
		runner: runner, serves: s.Ready != share.ReadyStarted, changed: env.changed,
	}
	k.watch = &watch{changed: func() {}, log: env.log, kick: make(chan struct{}, 1)}
	return k, nil
}

// markOf tells one share's programs from all others.
func markOf(s share.Share, env kindEnv) string {
	if env.locks == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(env.locks + "\x00" + s.Name.String()))
	return hex.EncodeToString(sum[:8])
}

// handlers hand requests on, and try again while nothing listens: between the end
// of one process of the program and the beginning of the next, nobody is refused.
func (k *program) handlers() []json.RawMessage {
	transport := reverseproxy.HTTPTransport{
		NetworkProxyRaw: json.RawMessage(caddyconfig.JSONModuleObject(struct{}{}, "from", "none", nil)),
		Compression:     new(bool),
	}
	return []json.RawMessage{caddyconfig.JSONModuleObject(reverseproxy.Handler{
		Upstreams:     reverseproxy.UpstreamPool{{Dial: k.addr}},
		FlushInterval: -1,
		LoadBalancing: &reverseproxy.LoadBalancing{TryDuration: caddy.Duration(holdRefused), TryInterval: caddy.Duration(50 * time.Millisecond)},
		TransportRaw:  caddyconfig.JSONModuleObject(transport, "protocol", "http", nil),
	}, "handler", "reverse_proxy", nil)}
}

func (k *program) tune(s *caddyhttp.Server) { k.proxy.tune(s) }

func (k *program) admit(w http.ResponseWriter, r *http.Request) bool {
	st := k.runner.State()
	if !k.serves {
		p := pages.Page{Title: "This share has a link of its own", Text: "Its program has not told it yet.", Reload: st.Link == ""}
		if st.Link != "" {
			p.Text, p.Links = "", []pages.Link{{Text: st.Link, To: st.Link}}
		}
		answerPage(w, r, http.StatusOK, p)
		return false
	}
	if !st.Ready {
		ctx, cancel := context.WithTimeout(r.Context(), holdVisitors)
		err := k.runner.WaitReady(ctx)
		cancel()
		if err != nil {
			answerPage(w, r, http.StatusServiceUnavailable, pages.Page{
				Title: "The program is not running", Text: "The computer that shares it is on, but its program does not answer yet.", Reload: true,
			})
			return false
		}
	}
	return k.proxy.admit(w, r)
}

func (k *program) check()              {}
func (k *program) start()              { k.runner.Start() }
func (k *program) targetError() string { return k.runner.State().Sentence }

// link is one that the program has made.
func (k *program) link(*stage) string { return k.runner.State().Link }

// end stops the program.
func (k *program) end() { k.runner.Stop() }
