package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"sharetray/agentcore/policy"
	"sharetray/agentcore/problem"
	"sharetray/agentcore/share/schema"
	"sharetray/agentcore/words"
)

// Settings are the agent's numbers, for all shares.
type Settings struct {
	Notifications bool   // show desktop notifications at all
	Language      string // of what people read: "auto" is the system's, else a tag such as "zh-CN"
	Standby       int    // how many share processes wait, initialised, for a share
	Policy        policy.Policy
	Lease         time.Duration // how long a share is served when the agent is gone
	Logs          Logs
}

// Logs bounds each share's log on disk.
type Logs struct {
	MaxBytes int64 // of one file
	Keep     int   // older files kept beside it
}

// AutoLanguage is the Language of who has chosen none.
const AutoLanguage = "auto"

// DefaultSettings are those of a user who has no settings file.
func DefaultSettings() Settings {
	return Settings{
		Notifications: true,
		Language:      AutoLanguage,
		Standby:       1,
		Policy:        policy.Default(),
		Lease:         15 * time.Minute,
		Logs:          Logs{MaxBytes: 1 << 20, Keep: 4},
	}
}

// SettingsKeys is the schema of settings.toml.
var SettingsKeys = []schema.Key[Settings]{
	{Name: "notifications", Doc: "Show notifications.",
		Field: func(s *Settings) schema.Value { return schema.Bool(&s.Notifications) }},
	{Name: "language", Doc: "The language of menu, notifications and dashboard: \"auto\" (the system's), or one such as \"en\" or \"zh-CN\".",
		Field: func(s *Settings) schema.Value {
			return schema.OneOf(&s.Language, append([]string{AutoLanguage}, words.Tags()...)...)
		}},
	{Name: "standby", Doc: "How many processes wait, ready to serve a share at once.",
		Field: func(s *Settings) schema.Value { return schema.Int(&s.Standby, 0, 8) }},
	{Name: "lease", Doc: "How long shares stay up when the agent is gone for good.",
		Field: func(s *Settings) schema.Value { return period(&s.Lease) }},
	{Name: "restart.min_ready", Doc: "A share that was up for as long is restarted at once.",
		Field: func(s *Settings) schema.Value { return period(&s.Policy.MinReady) }},
	{Name: "restart.backoff_min", Doc: "The first wait of a share that fails sooner.",
		Field: func(s *Settings) schema.Value { return period(&s.Policy.BackoffMin) }},
	{Name: "restart.backoff_max", Doc: "The longest wait of a share that fails again and again.",
		Field: func(s *Settings) schema.Value { return period(&s.Policy.BackoffMax) }},
	{Name: "restart.forget_after", Doc: "Failures are forgotten after being up for as long.",
		Field: func(s *Settings) schema.Value { return period(&s.Policy.ForgetAfter) }},
	{Name: "restart.give_up_after", Doc: "Failed starts in a row until a share is given up.",
		Field: func(s *Settings) schema.Value { return schema.Int(&s.Policy.GiveUpAfter, 1, 1000) }},
	{Name: "health.ping_every", Doc: "How often a share's process is asked whether it lives.",
		Field: func(s *Settings) schema.Value { return period(&s.Policy.PingEvery) }},
	{Name: "health.ping_timeout", Doc: "How long it may take to answer that.",
		Field: func(s *Settings) schema.Value { return period(&s.Policy.PingTimeout) }},
	{Name: "health.probe_every", Doc: "How often a share is opened as a visitor would.",
		Field: func(s *Settings) schema.Value { return period(&s.Policy.ProbeEvery) }},
	{Name: "health.probe_timeout", Doc: "How long it may take to answer that.",
		Field: func(s *Settings) schema.Value { return period(&s.Policy.ProbeTimeout) }},
	{Name: "health.misses", Doc: "Checks missed in a row until the process is replaced.",
		Field: func(s *Settings) schema.Value { return schema.Int(&s.Policy.Misses, 1, 1000) }},
	{Name: "health.ease", Doc: "How many times rarer a share is checked, at most, that nobody visits.",
		Field: func(s *Settings) schema.Value { return schema.Int(&s.Policy.Ease, 1, 1000) }},
	{Name: "drain.roll_limit", Doc: "How long a replaced process may finish its transfers.",
		Field: func(s *Settings) schema.Value { return period(&s.Policy.RollLimit) }},
	{Name: "logs.max_bytes", Doc: "The size of a log file, in bytes.",
		Field: func(s *Settings) schema.Value { return schema.Int(&s.Logs.MaxBytes, 4<<10, 1<<30) }},
	{Name: "logs.keep", Doc: "How many older log files are kept.",
		Field: func(s *Settings) schema.Value { return schema.Int(&s.Logs.Keep, 0, 100) }},
}

// LoadSettings reads the settings at path. A file that does not exist means the
// defaults. So does one that can't be used; the error, a Problem, then names
// file, line and key.
func LoadSettings(path string) (Settings, error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return DefaultSettings(), nil
	}
	s, err := readSettings(path)
	if err != nil {
		return DefaultSettings(), err
	}
	return s, nil
}

func readSettings(path string) (Settings, error) {
	data, err := read(path)
	if err != nil {
		return DefaultSettings(), err
	}
	return parseSettings(path, data)
}

func parseSettings(path string, data []byte) (Settings, error) {
	s := DefaultSettings()
	if len(bytes.TrimSpace(data)) == 0 {
		return s, nil // nothing is set
	}
	doc, err := schema.Parse(filepath.Base(path), data)
	if err != nil {
		return s, err
	}
	if err := schema.Apply(doc, SettingsKeys, &s); err != nil {
		return s, err
	}
	if s.Policy.BackoffMin > s.Policy.BackoffMax {
		return s, doc.Problem("restart.backoff_min",
			fmt.Errorf("is %s, more than restart.backoff_max, %s: make it less", s.Policy.BackoffMin, s.Policy.BackoffMax))
	}
	return s, nil
}

// UpdateSettings changes values of the settings file, given as text by key, and
// leaves the rest of the file as it is. On an error, a Problem, nothing changes.
func UpdateSettings(path string, changes map[string]string) (Settings, error) {
	return updateSettings(realDisk, path, changes)
}

func updateSettings(d disk, path string, changes map[string]string) (Settings, error) {
	var data []byte
	_, err := os.Lstat(path)
	if !errors.Is(err, fs.ErrNotExist) {
		if data, err = read(path); err != nil {
			return Settings{}, err
		}
	}
	s, err := parseSettings(path, data)
	if err != nil {
		return s, problem.New(problem.Conflict, "the settings can't be changed while their file is not valid: %w", err)
	}
	for _, k := range SettingsKeys {
		text, given := changes[k.Name]
		if !given {
			continue
		}
		v := k.Field(&s)
		if err := v.Set(text); err != nil {
			return s, problem.New(problem.Invalid, "%s %w", k.Name, err)
		}
		if len(bytes.TrimSpace(data)) == 0 {
			data = []byte(k.Name + " = " + v.Literal() + "\n")
			continue
		}
		doc, err := schema.Parse(filepath.Base(path), data)
		if err != nil {
			return s, err
		}
		data = doc.Replace(schema.Names(SettingsKeys), k.Name, v.Literal())
	}
	for name := range changes {
		if !slices.Contains(schema.Names(SettingsKeys), name) {
			return s, problem.New(problem.Invalid, "%w", schema.Unknown(name, schema.Names(SettingsKeys)))
		}
	}
	if s, err = parseSettings(path, data); err != nil {
		return s, err
	}
	if err := d.mkdirAll(filepath.Dir(path), 0o700); err != nil {
		return s, saveFailed(path, err)
	}
	if at, err := filepath.EvalSymlinks(path); err == nil {
		path = at // a link to a file elsewhere stays one
	}
	return s, d.write(path, data, 0o600)
}

// period is a length of time that is not nothing, which would be a busy loop.
func period(field *time.Duration) schema.Value {
	return schema.Duration(field, time.Millisecond, 30*24*time.Hour)
}
