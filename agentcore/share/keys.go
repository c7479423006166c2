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
}

// Kinds lists every kind of share.
var Kinds = []Kind{Web, Proxy}

var kindKey = fixed("kind", "A folder (web), or a web app that already runs (proxy).",
	func(s *Share) schema.Value { return schema.OneOf(&s.Kind, Kinds...) })

// Keys is the schema: every key, in the order in which a file has them. Files
// are read and written, values set, and documentation made from this table.
var Keys = []Key{
	fixed("version", "The version of this file's format.", versionValue),
	kindKey,
	key("target", "What is shared: the whole path of a folder (web), or the app's URL or port (proxy).", targetValue),
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
		func(s *Share) schema.Value { return schema.Bool(&s.HiddenFiles) }, Web),
	key("listing", "List the files of a folder that has no index page.",
		func(s *Share) schema.Value { return schema.Bool(&s.Listing) }, Web),
	key("verify_tls", "Check the certificate of an app whose URL begins with https.",
		func(s *Share) schema.Value { return schema.Bool(&s.VerifyTLS) }, Proxy),
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
	return fmt.Errorf("is for %s shares, and this is a %s share: leave it out", k.Kinds[0], kind)
}

func key(name, doc string, field func(*Share) schema.Value, kinds ...Kind) Key {
	if kinds == nil {
		kinds = Kinds
	}
	return Key{Key: schema.Key[Share]{Name: name, Doc: doc, Field: field}, Kinds: kinds}
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
		Want: "the path of a folder, or the URL or port of an app",
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

// kindsInWords is `kind = "web" or kind = "proxy"`.
func kindsInWords() string {
	words := make([]string, len(Kinds))
	for i, k := range Kinds {
		words[i] = fmt.Sprintf("kind = %q", k)
	}
	return strings.Join(words, " or ")
}
