package process

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"sharetray/agentcore/share"
	"sharetray/assets/pages"
)

func init() { kinds[share.Proxy] = newProxy }

// viaHeader lists the share processes that a request has been proxied by. One
// that finds itself in it stands in a loop.
const viaHeader = "Sharetray-Via"

// proxy hands requests on to a web app that listens somewhere else.
type proxy struct {
	target *url.URL
	addr   string // host:port
	verify bool
	via    string
	watch  *watch
}

func newProxy(s share.Share, env kindEnv) (kind, error) {
	u, err := url.Parse(s.Target)
	if err != nil {
		return nil, err
	}
	if strings.ContainsAny(u.Host, "{}") { // would be a placeholder to Caddy
		return nil, fmt.Errorf("%q names no host", s.Target)
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "h2c": "80", "https": "443"}[u.Scheme]
	}
	k := &proxy{target: u, addr: net.JoinHostPort(u.Hostname(), port), verify: s.VerifyTLS, via: env.via}
	k.watch = newWatch(k.reach, env)
	return k, nil
}

func (k *proxy) handlers() []json.RawMessage {
	transport := reverseproxy.HTTPTransport{
		// Straight to the target: what the check reaches, requests must too.
		NetworkProxyRaw: json.RawMessage(caddyconfig.JSONModuleObject(struct{}{}, "from", "none", nil)),
		Compression:     new(bool), // what the visitor accepts, the app decides upon
	}
	h := reverseproxy.Handler{
		Upstreams:     reverseproxy.UpstreamPool{{Dial: k.addr}},
		FlushInterval: -1,
	}
	switch k.target.Scheme {
	case "h2c":
		transport.Versions = []string{"h2c", "2"}
	case "https":
		transport.TLS = &reverseproxy.TLSConfig{InsecureSkipVerify: !k.verify}
		// A site elsewhere wants to hear its own name; an app on this computer
		// the visitor's, as it would without TLS.
		host := k.target.Host
		if isLoopback(k.target.Hostname()) {
			host = "{http.request.hostport}"
		}
		h.Headers = &headers.Handler{Request: &headers.HeaderOps{Set: http.Header{"Host": {host}}}}
	}
	h.TransportRaw = caddyconfig.JSONModuleObject(transport, "protocol", "http", nil)
	return []json.RawMessage{caddyconfig.JSONModuleObject(h, "handler", "reverse_proxy", nil)}
}

// tune gives uploads and slow answers time; Caddy's own limit is a minute
// without a byte.
func (k *proxy) tune(s *caddyhttp.Server) {
	s.ReadIdleTimeout = caddy.Duration(10 * time.Minute)
	s.WriteIdleTimeout = caddy.Duration(10 * time.Minute)
}

// spoofable are headers by which proxies tell apps about the visitor. What a
// visitor says there is not true. Caddy sets X-Forwarded-For, -Proto and -Host
// itself, and trusts nobody.
var spoofable = []string{"Forwarded", "X-Real-Ip", "X-Client-Ip", "True-Client-Ip", "X-Cluster-Client-Ip"}

func (k *proxy) admit(w http.ResponseWriter, r *http.Request) bool {
	for _, via := range r.Header[viaHeader] {
		if slices.Contains(strings.Split(via, ", "), k.via) {
			answerPage(w, r, http.StatusLoopDetected, pages.Page{
				Title: "This share leads back to itself",
				Text:  "Its target is its own address, directly or through another share. Give it another target.",
			})
			return false
		}
	}
	r.Header[viaHeader] = append(r.Header[viaHeader], k.via)
	for _, name := range spoofable {
		delete(r.Header, name)
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Forwarded-") {
			delete(r.Header, name)
		}
	}
	k.watch.used()
	return true
}

func (k *proxy) explain(w http.ResponseWriter, r *http.Request, err error) error {
	status := statusOf(err)
	var dial reverseproxy.DialError
	switch {
	case status == 499:
		return nil // the visitor left
	case status != http.StatusBadGateway && status != http.StatusGatewayTimeout && status != http.StatusServiceUnavailable:
		return err
	case errors.As(err, &dial):
		k.watch.report(dialSentence(k.target, dial))
		answerPage(w, r, http.StatusBadGateway, pages.Page{
			Title:  "The app is not running",
			Text:   "The computer that shares it is on, but nothing answers at " + k.target.Host + ".",
			Reload: true,
		})
		return nil
	case isCertificateError(err):
		k.watch.report(dialSentence(k.target, err))
	default:
		k.watch.wake()
	}
	answerPage(w, r, http.StatusBadGateway, pages.Page{
		Title:  "The app did not answer properly",
		Text:   "The computer that shares it is on, but the app at " + k.target.Host + " broke off.",
		Reload: true,
	})
	return nil
}

// reach connects to the target as a request would, up to its first byte.
func (k *proxy) reach(ctx context.Context) string {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", k.addr)
	if err != nil {
		return dialSentence(k.target, err)
	}
	defer conn.Close()
	if k.target.Scheme != "https" {
		return ""
	}
	t := tls.Client(conn, &tls.Config{ServerName: k.target.Hostname(), InsecureSkipVerify: !k.verify})
	if err := t.HandshakeContext(ctx); err != nil {
		if isCertificateError(err) {
			return dialSentence(k.target, err)
		}
		return fmt.Sprintf("%s does not answer as an https server does", k.target.Host)
	}
	// Leave as a client does that has nothing to ask; an app would log less.
	_ = t.SetDeadline(time.Now().Add(time.Second))
	_ = t.CloseWrite()
	_, _ = io.Copy(io.Discard, t)
	return ""
}

// check waits for the first look; after that, watch looks by itself.
func (k *proxy) check()              { k.watch.known() }
func (k *proxy) targetError() string { return k.watch.sentence() }
func (k *proxy) start()              { go k.watch.run() }

func dialSentence(u *url.URL, err error) string {
	var op *net.OpError
	var dns *net.DNSError
	switch {
	case isCertificateError(err):
		return fmt.Sprintf("the certificate of %s is not trusted: if it is your own, set verify_tls=false for this share", u.Host)
	case errors.As(err, &dns):
		return fmt.Sprintf("the name %s can't be resolved", u.Hostname())
	case errors.As(err, &op) && op.Timeout():
		return fmt.Sprintf("nothing answers at %s", u.Host)
	}
	return fmt.Sprintf("nothing listens at %s", u.Host)
}

func isCertificateError(err error) bool {
	var ce *tls.CertificateVerificationError
	return errors.As(err, &ce)
}

func isLoopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
