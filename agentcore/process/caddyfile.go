package process

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile" // the adapter of Caddyfiles
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"sharetray/agentcore/share"
)

func init() { kinds[share.Caddy] = newCaddyfile }

// caddyfile serves what a Caddyfile of the user's says, or Caddy's own JSON.
//
// Caddy does not listen: each server gets the sockets that were handed over for
// its ports. Ports that a Caddyfile does not name (Caddy's own defaults are 80 and
// 443) become the share's, which always leads to the first server.
type caddyfile struct {
	path  string
	cfg   *caddy.Config
	http  caddyhttp.App
	first string              // the server that has the share's port
	ports map[string][]uint16 // further ones, by server
	port  uint16
	log   *slog.Logger
	host  string // by which the first server wants to be asked; "": by any
}

var errNoSite = errors.New("it has no site to serve: add one, such as \":80\" and \"file_server\" on a line each")

// maxCaddyfile bounds what is read, in bytes.
const maxCaddyfile = 4 << 20

func newCaddyfile(s share.Share, env kindEnv) (kind, error) {
	k := &caddyfile{path: s.Target, port: s.Port, ports: map[string][]uint16{}, log: env.log}
	text, err := os.ReadFile(s.Target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no file %s: put it back, or share another", s.Target)
	case err != nil:
		return nil, fmt.Errorf("%s can't be read: %w", s.Target, cause(err))
	case len(text) > maxCaddyfile:
		return nil, fmt.Errorf("%s is larger than %d MiB, so it is no Caddyfile", s.Target, maxCaddyfile>>20)
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, fmt.Errorf("%s: %w", s.Target, errNoSite)
	}
	if filepath.Ext(s.Target) != ".json" {
		if text, err = k.adapt(text); err != nil {
			return nil, err
		}
	}
	if err := k.take(text); err != nil {
		return nil, fmt.Errorf("%s: %w", s.Target, err)
	}
	return k, nil
}

// adapt makes Caddy's JSON of a Caddyfile. An error names file and line.
func (k *caddyfile) adapt(text []byte) ([]byte, error) {
	adapted, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt(text, map[string]any{"filename": k.path})
	if err != nil {
		if !strings.Contains(err.Error(), k.path) {
			err = fmt.Errorf("%s: %w", k.path, err)
		}
		return nil, err
	}
	for _, w := range warnings {
		if !strings.Contains(w.Message, "not formatted") {
			k.log.Warn("of the Caddyfile: "+w.Message, "file", w.File, "line", w.Line)
		}
	}
	return adapted, nil
}

// take reads Caddy's JSON and finds out what it listens on.
func (k *caddyfile) take(text []byte) error {
	if err := caddy.StrictUnmarshalJSON(text, &k.cfg); err != nil {
		return fmt.Errorf("it is not Caddy's JSON: %w", err)
	}
	if k.cfg == nil || k.cfg.AppsRaw["http"] == nil {
		return errNoSite
	}
	if err := caddy.StrictUnmarshalJSON(k.cfg.AppsRaw["http"], &k.http); err != nil {
		return fmt.Errorf("its http app is not Caddy's JSON: %w", err)
	}
	var names []string
	for name := range k.http.Servers {
		names = append(names, name)
	}
	slices.Sort(names)
	if len(names) == 0 {
		return errNoSite
	}
	for _, name := range names {
		for _, addr := range k.http.Servers[name].Listen {
			ports, err := portsOf(addr)
			if err != nil {
				return err
			}
			for _, p := range ports {
				if p != k.port && p != caddyhttp.DefaultHTTPPort && p != caddyhttp.DefaultHTTPSPort && !slices.Contains(k.ports[name], p) {
					k.ports[name] = append(k.ports[name], p)
				}
			}
		}
	}
	// A server without a port of its own has no other way to be reached.
	k.first = names[max(0, slices.IndexFunc(names, func(name string) bool { return len(k.ports[name]) == 0 }))]
	return nil
}

// portsOf are the TCP ports of an address that a server is to listen on.
func portsOf(addr string) (ports []uint16, err error) {
	na, err := caddy.ParseNetworkAddress(addr)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%q is no address to listen on: %w", addr, err)
	case na.Network != "tcp" && na.Network != "tcp4" && na.Network != "tcp6":
		return nil, fmt.Errorf("it listens on %q: only TCP ports can be shared, take the bind directive out", addr)
	case na.PortRangeSize() > maxPorts:
		return nil, fmt.Errorf("%q are %d ports: name at most %d", addr, na.PortRangeSize(), maxPorts)
	}
	for p := na.StartPort; p <= na.EndPort; p++ {
		ports = append(ports, uint16(p))
	}
	return ports, nil
}

// maxPorts is how many ports a Caddyfile may name, besides the share's own.
const maxPorts = 16

// wants are the ports that it listens on besides the share's own.
func (k *caddyfile) wants() []uint16 {
	var all []uint16
	for _, ports := range k.ports {
		all = append(all, ports...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// configure makes the stage's Caddy configuration of the user's.
func (k *caddyfile) configure(s *stage) (*caddy.Config, error) {
	var warnings []caddyconfig.Warning
	front := caddyconfig.JSONModuleObject(front{Stage: s.name}, "handler", "sharetray_front", &warnings)
	for name, server := range k.http.Servers {
		server.Listen = nil
		for i, ln := range s.listeners {
			port := uint16(ln.Addr().(*net.TCPAddr).Port)
			if slices.Contains(k.ports[name], port) || name == k.first && port == k.port {
				server.Listen = append(server.Listen, caddy.JoinNetworkAddress(network, s.name, strconv.Itoa(i+1)))
			}
		}
		if len(server.Listen) == 0 {
			delete(k.http.Servers, name) // of Caddy's default ports the share has one
			k.log.Warn("a server of the Caddyfile has no port of its own: give its sites one", "server", name)
			continue
		}
		if slices.Contains(server.Protocols, "h3") || server.Protocols == nil { // nobody holds sockets of QUIC
			server.Protocols = []string{"h1", "h2c"}
			if len(hostsOf(server)) > 0 || len(server.TLSConnPolicies) > 0 { // then it speaks https
				server.Protocols = []string{"h1", "h2"}
			}
		}
		if name == k.first {
			k.host = append(hostsOf(server), "")[0]
		}
		if server.AutoHTTPS == nil {
			server.AutoHTTPS = &caddyhttp.AutoHTTPSConfig{}
		}
		server.AutoHTTPS.DisableRedir = true // they would need a port of their own
		server.Routes = append(caddyhttp.RouteList{{HandlersRaw: []json.RawMessage{front}}}, server.Routes...)
	}
	k.http.GracePeriod = drainedGrace
	off := false
	cfg := *k.cfg
	cfg.Admin = &caddy.AdminConfig{Disabled: true, Config: &caddy.ConfigSettings{Persist: &off}}
	if k.cfg.Admin != nil && !k.cfg.Admin.Disabled {
		k.log.Warn("the admin endpoint that the Caddyfile asks for stays off")
	}
	logging := loggingConfig(&warnings)
	if k.cfg.Logging != nil { // logs of the user's own, beside the share's
		for name, l := range k.cfg.Logging.Logs {
			if name != caddy.DefaultLoggerName {
				logging.Logs[name] = l
			}
		}
	}
	cfg.Logging = logging
	if cfg.StorageRaw == nil && s.secured.authority != "" {
		cfg.StorageRaw = caddyconfig.JSONModuleObject(struct {
			Root string `json:"root"`
		}{s.secured.authority}, "module", "file_system", &warnings)
	}
	cfg.AppsRaw["http"] = caddyconfig.JSON(k.http, &warnings)
	if cfg.AppsRaw["pki"] == nil {
		cfg.AppsRaw["pki"] = authorityApp(&warnings)
	}
	if len(warnings) > 0 {
		return nil, errors.New(warnings[0].String())
	}
	return &cfg, nil
}

// hostsOf are the names by which a server's sites are asked for.
func hostsOf(server *caddyhttp.Server) (hosts []string) {
	for _, route := range server.Routes {
		for _, set := range route.MatcherSetsRaw {
			var names []string
			if json.Unmarshal(set["host"], &names) == nil {
				for _, name := range names {
					if !strings.ContainsAny(name, "*{") {
						hosts = append(hosts, name)
					}
				}
			}
		}
	}
	return hosts
}

// link is how the first server wants to be asked for; "" is by any address.
func (k *caddyfile) link(s *stage) string {
	scheme := "http"
	for _, site := range s.sites {
		for i, ln := range s.listeners {
			isOwn := uint16(ln.Addr().(*net.TCPAddr).Port) == k.port
			if isOwn && len(site.TLSConnPolicies) > 0 && slices.Contains(site.Listen, caddy.JoinNetworkAddress(network, s.name, strconv.Itoa(i+1))) {
				scheme = "https"
			}
		}
	}
	if k.host == "" && scheme == "http" {
		return ""
	}
	return scheme + "://" + net.JoinHostPort(cmp.Or(k.host, "127.0.0.1"), strconv.Itoa(int(k.port))) + "/"
}

func (k *caddyfile) handlers() []json.RawMessage                   { return nil }
func (k *caddyfile) tune(*caddyhttp.Server)                        {}
func (k *caddyfile) admit(http.ResponseWriter, *http.Request) bool { return true }

// explain leaves errors to the user's own routes for them.
func (k *caddyfile) explain(_ http.ResponseWriter, _ *http.Request, err error) error { return err }

func (k *caddyfile) check()              {}
func (k *caddyfile) targetError() string { return "" }
func (k *caddyfile) start()              {}
