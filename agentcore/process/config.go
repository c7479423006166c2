package process

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddytls"
	"github.com/caddyserver/caddy/v2/modules/logging"
	_ "github.com/caddyserver/caddy/v2/modules/standard" // every module of stock Caddy, for what a share may ask for
)

// drainedGrace is for what is left after a drain. Zero would mean for ever.
const drainedGrace = caddy.Duration(time.Second)

// config is the stage's whole Caddy configuration: one server with one route.
// Nothing of it touches the disk or the network besides the share itself: no
// admin endpoint, no saved configuration; certificates and their storage only
// where https was asked for.
func (s *stage) config() (*caddy.Config, error) {
	if k, ok := s.kind.(configurer); ok {
		return k.configure(s)
	}
	var warnings []caddyconfig.Warning
	handlers := append([]json.RawMessage{
		caddyconfig.JSONModuleObject(front{Stage: s.name}, "handler", "sharetray_front", &warnings),
	}, s.kind.handlers()...)
	server := &caddyhttp.Server{
		Listen:            s.addresses(),
		Protocols:         []string{"h1", "h2c"},
		AutoHTTPS:         &caddyhttp.AutoHTTPSConfig{Disabled: true},
		ReadHeaderTimeout: caddy.Duration(30 * time.Second),
		IdleTimeout:       caddy.Duration(2 * time.Minute),
		MaxHeaderBytes:    64 << 10, // the cookies of all apps on localhost come together
		Routes:            caddyhttp.RouteList{{HandlersRaw: handlers}},
	}
	s.kind.tune(server)
	tls := &caddytls.TLS{DisableOCSPStapling: true, DisableStorageCheck: true, DisableStorageClean: true}
	app := caddyhttp.App{
		GracePeriod: drainedGrace,
		Servers:     map[string]*caddyhttp.Server{"share": server},
	}
	off := false
	cfg := &caddy.Config{
		Admin:   &caddy.AdminConfig{Disabled: true, Config: &caddy.ConfigSettings{Persist: &off}},
		Logging: loggingConfig(&warnings),
		AppsRaw: caddy.ModuleMap{},
	}
	s.secured.configure(cfg, server, tls, &warnings)
	cfg.AppsRaw["http"] = caddyconfig.JSON(app, &warnings)
	cfg.AppsRaw["tls"] = caddyconfig.JSON(tls, &warnings)
	if len(warnings) > 0 { // a value that could not be encoded
		return nil, errors.New(warnings[0].String())
	}
	return cfg, nil
}

// loggingConfig sends what Caddy has to warn of to the share's log, one line
// each, and no more than a few of the same kind in a second: a visitor must not
// be able to flood it.
func loggingConfig(warnings *[]caddyconfig.Warning) *caddy.Logging {
	base := caddy.BaseLog{
		WriterRaw: caddyconfig.JSONModuleObject(logWriter{}, "output", "sharetray", warnings),
		EncoderRaw: caddyconfig.JSONModuleObject(logging.ConsoleEncoder{LogEncoderConfig: logging.LogEncoderConfig{
			TimeFormat: logTime, TimeLocal: true, LevelFormat: "upper", DurationFormat: "string",
		}}, "format", "console", warnings),
		Level:    "WARN",
		Sampling: &caddy.LogSampling{Interval: time.Second, First: 5, Thereafter: 1000},
	}
	return &caddy.Logging{Logs: map[string]*caddy.CustomLog{
		caddy.DefaultLoggerName: {BaseLog: base, Exclude: []string{"admin"}}, // which warns that it is off
	}}
}
