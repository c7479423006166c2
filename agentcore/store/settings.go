package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"sharetray/agentcore/policy"
	"sharetray/agentcore/share/schema"
)

// Settings are the agent's numbers, for all shares.
type Settings struct {
	Notifications bool // show desktop notifications at all
	Standby       int  // how many share processes wait, initialised, for a share
	Policy        policy.Policy
	Lease         time.Duration // how long a share is served when the agent is gone
	Logs          Logs
}

// Logs bounds each share's log on disk.
type Logs struct {
	MaxBytes int64 // of one file
	Keep     int   // older files kept beside it
}

// DefaultSettings are those of a user who has no settings file.
func DefaultSettings() Settings {
	return Settings{
		Notifications: true,
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
	s := DefaultSettings()
	data, err := read(path)
	if err != nil {
		return s, err
	}
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

// period is a length of time that is not nothing, which would be a busy loop.
func period(field *time.Duration) schema.Value {
	return schema.Duration(field, time.Millisecond, 30*24*time.Hour)
}
