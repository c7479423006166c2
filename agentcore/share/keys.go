package share

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"sharetray/agentcore/problem"
	"sharetray/agentcore/share/schema"
)

// Key is one key of a share's file and of `sharetray set`.
type Key struct {
	schema.Key[Share]
	Kinds []Kind // the kinds of share that have it
	Fixed bool   // decided when the share is made: Set refuses it
	Rare  bool   // a new file has it only if it is not as assumed
}

// Kinds lists every kind of share.
var Kinds = []Kind{Web, Drive, Proxy, Caddy, TCP, UDP, SOCKS, Command}

var (
	httpKinds   = []Kind{Web, Drive, Proxy, Caddy, Command}
	folderKinds = []Kind{Web, Drive}
	targeted    = []Kind{Web, Drive, Proxy, Caddy, TCP, UDP, Command}
	loginKinds  = []Kind{Web, Drive, Proxy, Caddy, SOCKS, Command}
	tlsKinds    = []Kind{Web, Drive, Proxy, Command}
)

var kindKey = fixed("kind", "What serves it: see `sharetray share --help`.",
	func(s *Share) schema.Value { return schema.OneOf(&s.Kind, Kinds...) })

// Keys is the schema: every key, in the order in which a file has them. Files
// are read and written, values set, and documentation made from this table.
var Keys = []Key{
	fixed("version", "The version of this file's format.", versionValue),
	kindKey,
	key("target", "What is shared: the path of a folder, the URL or port of an app, an address, or a command.", targetValue, targeted...),
	key("port", "The port of the share's link. 0: one is chosen, and kept.",
		func(s *Share) schema.Value { return schema.Int(&s.Port, 0, math.MaxUint16) }),
	key("reach", "Who can open the link: this computer only (local), or its networks too (lan).",
		func(s *Share) schema.Value { return schema.OneOf(&s.Reach, Local, LAN) }),
	key("paused", "A paused share stays stopped, after a login too.",
		func(s *Share) schema.Value { return schema.Bool(&s.Paused) }),
	key("notify", "Show a notification when this share breaks and when it is back.",
		func(s *Share) schema.Value { return schema.Bool(&s.Notify) }),
	key("stop_grace", "How long a stop waits for what is being transferred.",
		func(s *Share) schema.Value { return schema.Duration(&s.StopGrace, 0, time.Hour) }),
	key("memory", "The most memory that the process which serves may take, such as \"256MiB\".",
		func(s *Share) schema.Value { return schema.Size(&s.Memory, 64<<20, 1<<40) }),
	key("cpu", "How many processors it may keep busy, such as \"0.5\" or \"50%\".",
		func(s *Share) schema.Value { return schema.Thousandths(&s.CPU, 10, 1024_000) }),
	key("open_files", "How many files and connections it may have open; 0: as many as the system allows.",
		func(s *Share) schema.Value { return schema.Limit(&s.OpenFiles, 64, 1<<20) }),
	key("processes", "How many processes and threads it may have, with those that it starts; 0: as many as the system allows.",
		func(s *Share) schema.Value { return schema.Limit(&s.Processes, 64, 1<<22) }),
	key("connections", "How many connections of visitors are served at the same time, while others wait; 0: all.",
		func(s *Share) schema.Value { return schema.Limit(&s.Connections, 1, 1_000_000) }),
	key("bandwidth", "How much is sent to all visitors together in a second, and taken from them, such as \"2MB/s\".",
		func(s *Share) schema.Value { return schema.Rate(&s.Bandwidth, 1_000, 1_000_000_000_000) }),
	key("hidden_files", "Serve files whose name begins with a dot.",
		func(s *Share) schema.Value { return schema.Bool(&s.HiddenFiles) }, folderKinds...),
	key("listing", "List the files of a folder that has no index page.",
		func(s *Share) schema.Value { return schema.Bool(&s.Listing) }, folderKinds...),
	key("upload", "Visitors may add files.",
		func(s *Share) schema.Value { return schema.Bool(&s.Upload) }, Web),
	rare("overwrite", "What visitors add may replace files of the same name.",
		func(s *Share) schema.Value { return schema.Bool(&s.Overwrite) }, Web),
	rare("show_uploads", "Visitors can see and open what others have added.",
		func(s *Share) schema.Value { return schema.Bool(&s.ShowUploads) }, Web),
	key("writable", "Visitors may change, add and remove files.",
		func(s *Share) schema.Value { return schema.Bool(&s.Writable) }, Drive),
	rare("max_upload", "The most that one file which is added may take, such as \"100MB\".",
		func(s *Share) schema.Value { return schema.Size(&s.MaxUpload, 1, 1<<50) }, folderKinds...),
	rare("keep_free", "Nothing is added that would leave less of the disk free.",
		func(s *Share) schema.Value { return schema.Size(&s.KeepFree, 1<<20, 1<<50) }, folderKinds...),
	key("verify_tls", "Check the certificate of an app whose URL begins with https.",
		func(s *Share) schema.Value { return schema.Bool(&s.VerifyTLS) }, Proxy),
	key("idle", "After how long without a byte a connection is cut; \"0s\": never.",
		func(s *Share) schema.Value { return schema.Duration(&s.Idle, 0, 24*time.Hour) }, TCP, UDP, SOCKS),
	key("sessions", "How many visitors are served at the same time; who was silent for longest makes room.",
		func(s *Share) schema.Value { return schema.Int(&s.Sessions, 1, 65536) }, UDP),
	key("destinations", "Where visitors may go, such as \"example.org:443\", \"*.example.org\" or \"10.0.0.0/8:22\"; none: nowhere.",
		func(s *Share) schema.Value {
			return schema.Texts(&s.Destinations, `a list of destinations such as ["example.org:443"]`, destination)
		}, SOCKS),
	key("dir", "The folder in which the command runs; empty: your home.",
		func(s *Share) schema.Value { return schema.Text(&s.Dir, "the whole path of a folder", absoluteDir) }, Command),
	key("env", "What the command finds in its environment beside yours, such as [\"MODE=demo\"]. {port} is its port.",
		func(s *Share) schema.Value { return schema.Texts(&s.Env, `a list such as ["MODE=demo"]`, assignment) }, Command),
	rare("shell", "Give the command to the system's shell.",
		func(s *Share) schema.Value { return schema.Bool(&s.Shell) }, Command),
	key("ready", "When the command can be visited: its port accepts connections (port), it answers a request (http), it has printed a line (line), or it runs, and serves by itself (started).",
		func(s *Share) schema.Value {
			return schema.OneOf(&s.Ready, ReadyPort, ReadyHTTP, ReadyLine, ReadyStarted)
		}, Command),
	rare("ready_path", "What is asked for with ready = \"http\".",
		func(s *Share) schema.Value { return schema.Text(&s.ReadyPath, "a path such as \"/health\"", urlPath) }, Command),
	rare("ready_line", "The line that is waited for with ready = \"line\", as a regular expression.",
		func(s *Share) schema.Value { return schema.Text(&s.ReadyLine, "a regular expression", expression) }, Command),
	rare("ready_timeout", "For how long that is waited for.",
		func(s *Share) schema.Value { return schema.Duration(&s.ReadyTimeout, time.Second, time.Hour) }, Command),
	rare("link_pattern", "A regular expression that finds the command's own link in what it prints.",
		func(s *Share) schema.Value { return schema.Text(&s.LinkPattern, "a regular expression", expression) }, Command),
	rare("watch", "Files that restart the command when they change, such as [\"**/*.go\"].",
		func(s *Share) schema.Value {
			return schema.Texts(&s.Watch, `a list of patterns such as ["**/*.go"]`, pattern)
		}, Command),
	rare("networks", "From which networks it can be reached, such as [\"192.168.1.0/24\"]; none: from all.",
		func(s *Share) schema.Value {
			return schema.Texts(&s.Networks, `a list of networks such as ["192.168.1.0/24"]`, network)
		}),
	rare("users", "Who can open it, as \"name:HASH\" with a bcrypt hash of the password; none: everybody. `sharetray set NAME --password` makes them.",
		func(s *Share) schema.Value { return schema.Texts(&s.Users, `a list of "name:HASH"`, user) }, loginKinds...),
	rare("secret", "The secret part of a link, /s/SECRET/, that opens it without a password.",
		func(s *Share) schema.Value { return schema.Text(&s.Secret, "letters and digits", secret) }, httpKinds...),
	rare("expires", "When it ends, such as \"2026-12-31 18:00\"; or \"never\".",
		func(s *Share) schema.Value { return schema.Moment(&s.Expires) }),
	rare("downloads", "After how many finished downloads it ends; 0: it does not.",
		func(s *Share) schema.Value { return schema.Limit(&s.Downloads, 1, 1_000_000_000) }, folderKinds...),
	rare("hosts", "Further names by which browsers may ask for it, such as [\"demo.example.org\"].",
		func(s *Share) schema.Value {
			return schema.Texts(&s.Hosts, `a list of names such as ["demo.example.org"]`, host)
		}, httpKinds...),
	rare("tls", "Serve it over https: with a certificate of this computer's own authority (local), or yours (own).",
		func(s *Share) schema.Value { return schema.OneOf(&s.TLS, NoTLS, LocalTLS, OwnTLS) }, tlsKinds...),
	rare("tls_cert", "With tls = \"own\": the file with the certificate, in PEM.",
		func(s *Share) schema.Value { return schema.Text(&s.TLSCert, "the whole path of a file", absoluteFile) }, tlsKinds...),
	rare("tls_key", "With tls = \"own\": the file with its key, in PEM.",
		func(s *Share) schema.Value { return schema.Text(&s.TLSKey, "the whole path of a file", absoluteFile) }, tlsKinds...),
	rare("notify_of", "What else is told on the desktop: the first visit of somebody (visitor), finished downloads (download), uploads (upload).",
		func(s *Share) schema.Value {
			return schema.Texts(&s.NotifyOf, `a list of "visitor", "download" and "upload"`, visit)
		}),
	rare("access_log", "Keep a log of requests beside the share's own log.",
		func(s *Share) schema.Value { return schema.Bool(&s.AccessLog) }, httpKinds...),
}

// Default is the text that the key has in a share of that kind when it is left
// out. An empty one must be given.
func (k Key) Default(kind Kind) string {
	s := Defaults(kind)
	return k.Field(&s).Get()
}

// Set changes one value from text, as `sharetray set NAME KEY=VALUE` does. The
// error is a Problem that names the key and what it may be. It checks the one
// value only: call Validate when all are set.
func (s *Share) Set(name, text string) error {
	i := slices.IndexFunc(Keys, func(k Key) bool { return k.Name == name })
	if i < 0 {
		return problem.New(problem.Invalid, "%w", schema.Unknown(name, settable(s.Kind)))
	}
	k := Keys[i]
	switch {
	case k.Fixed:
		return problem.New(problem.Invalid, "%s can't be changed: remove the share, and make another", name)
	case !slices.Contains(k.Kinds, s.Kind):
		return problem.New(problem.Invalid, "%s %w", name, k.misplaced(s.Kind))
	}
	if err := k.Field(s).Set(text); err != nil {
		return problem.New(problem.Invalid, "%s %w", name, err)
	}
	return nil
}

// misplaced completes "listing …".
func (k Key) misplaced(kind Kind) error {
	words := make([]string, len(k.Kinds))
	for i, k := range k.Kinds {
		words[i] = string(k)
	}
	return fmt.Errorf("is for %s shares, and this is a %s share: leave it out", strings.Join(words, " and "), kind)
}

func key(name, doc string, field func(*Share) schema.Value, kinds ...Kind) Key {
	if kinds == nil {
		kinds = Kinds
	}
	return Key{Key: schema.Key[Share]{Name: name, Doc: doc, Field: field}, Kinds: kinds}
}

// rare is a key that a new file has only if it is not as assumed.
func rare(name, doc string, field func(*Share) schema.Value, kinds ...Kind) Key {
	k := key(name, doc, field, kinds...)
	k.Rare = true
	return k
}

func fixed(name, doc string, field func(*Share) schema.Value) Key {
	k := key(name, doc, field)
	k.Fixed = true
	return k
}

// keysOf are the keys that a share of that kind has, or all if there is no
// such kind.
func keysOf(kind Kind) []schema.Key[Share] {
	var keys []schema.Key[Share]
	for _, k := range Keys {
		if slices.Contains(k.Kinds, kind) || !slices.Contains(Kinds, kind) {
			keys = append(keys, k.Key)
		}
	}
	return keys
}

func settable(kind Kind) []string {
	var names []string
	for _, k := range Keys {
		if !k.Fixed && slices.Contains(k.Kinds, kind) {
			names = append(names, k.Name)
		}
	}
	return names
}

func targetValue(s *Share) schema.Value {
	return schema.Value{
		Type: schema.String,
		Want: targetWant[s.Kind],
		Get:  func() string { return s.Target },
		Set: func(text string) error {
			normal, err := normalize(s.Kind, text)
			if err == nil {
				s.Target = normal
			}
			return err
		},
	}
}

// versionValue is always the current version, since migrate has brought a file
// there before its keys are read.
func versionValue(*Share) schema.Value {
	return schema.Value{
		Type: schema.Integer,
		Want: "a whole number",
		Get:  func() string { return strconv.Itoa(currentVersion) },
		Set:  func(string) error { return nil },
	}
}

// kindsInWords is `kind = "web", kind = "drive" or kind = …`.
func kindsInWords() string {
	words := make([]string, len(Kinds))
	for i, k := range Kinds {
		words[i] = fmt.Sprintf("kind = %q", k)
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
