package share

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sharetray/agentcore/problem"
)

func TestLimitsAreRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line string // of a file
		got  func(Share) int64
		want int64
		text string // as it is written back
	}{
		{`memory = "256MiB"`, memory, 256 << 20, "256MiB"},
		{`memory = "1.5GiB"`, memory, 3 << 29, "1536MiB"},
		{`memory = "256MB"`, memory, 256e6, "256MB"},
		{`memory = "100000 KB"`, memory, 100e6, "100MB"},
		{`memory = "67108865"`, memory, 64<<20 + 1, "67108865B"},
		{`memory = 0x10000000`, memory, 256 << 20, "256MiB"},
		{`memory = 1e9`, memory, -1, ""},
		{`memory = 100000000.4`, memory, 100e6, "100MB"},
		{`memory = "1TiB"`, memory, 1 << 40, "1TiB"},
		{`memory = "none"`, memory, 0, "none"},
		{`memory = 0`, memory, 0, "none"},
		{`cpu = "0.5"`, cpu, 500, "0.5"},
		{`cpu = "50%"`, cpu, 500, "0.5"},
		{`cpu = "150 %"`, cpu, 1500, "1.5"},
		{`cpu = 0.25`, cpu, 250, "0.25"},
		{`cpu = 2`, cpu, 2000, "2"},
		{`cpu = "none"`, cpu, 0, "none"},
		{`open_files = 256`, func(s Share) int64 { return int64(s.OpenFiles) }, 256, "256"},
		{`processes = 64`, func(s Share) int64 { return int64(s.Processes) }, 64, "64"},
		{`connections = 1`, func(s Share) int64 { return int64(s.Connections) }, 1, "1"},
		{`connections = 0`, func(s Share) int64 { return int64(s.Connections) }, 0, "0"},
		{`bandwidth = "2MB/s"`, bandwidth, 2e6, "2MB/s"},
		{`bandwidth = "2MB"`, bandwidth, 2e6, "2MB/s"},
		{`bandwidth = 1024`, bandwidth, 1024, "1KiB/s"},
	} {
		key, _, _ := strings.Cut(c.line, " ")
		s, err := Decode("x.toml", name(t, "x"), []byte("kind = 'web'\ntarget = '/srv'\n"+c.line+"\n"))
		if c.want < 0 {
			if problem.CodeOf(err) != problem.Invalid {
				t.Errorf("%s: %v, want a Problem", c.line, err)
			}
			continue
		}
		if err != nil || c.got(s) != c.want || fieldText(s, key) != c.text {
			t.Errorf("%s: got %d, %q, %v", c.line, c.got(s), fieldText(s, key), err)
		}
	}
}

func memory(s Share) int64    { return int64(s.Memory) }
func cpu(s Share) int64       { return int64(s.CPU) }
func bandwidth(s Share) int64 { return int64(s.Bandwidth) }

func TestLimitsRefuse(t *testing.T) {
	t.Parallel()
	huge := strings.Repeat("9", 400)
	for key, c := range map[string]struct {
		want   string
		values []string
	}{
		"memory": {`memory must be "none" or a size from 64MiB to 1TiB, such as "256MiB"`, []string{
			"", " ", "12XB", "-1", "-256MiB", "+256MiB", "1e400", "1e9", "NaN", "Inf", "nanMiB", "infinity", "63MiB", "1", "1B", "0.0001B",
			"2TiB", "16777216TiB", "9223372036854775808", "18446744073709551616", huge, huge + "TiB", "256mb", "256Mb", "256M", "256 MiB ", "256  MiB",
			"1,5GiB", "1.GiB", ".5GiB", "0x10000000", "1_000_000_000", "256MiB/s", "٢٥٦MiB", "50%", "none none", "None", "256MiB\n"}},
		"cpu": {`cpu must be "none" or a number from 0.01 to 1024, such as "0.5", or "50%"`, []string{
			"", "0.0001", "0.009", "0.9%", "0.0001%", "-1", "-50%", "NaN", "Inf", "+Inf", "1e400", "1e-1", huge, huge + "%", "1025", "102401%", "half", "50%%", "%", "0.5MiB", "2 cores"}},
		"bandwidth": {`bandwidth must be "none" or a number of bytes in a second from 1kB/s to 1TB/s, such as "2MB/s"`, []string{
			"", "999", "1B/s", "-2MB", "2MB/m", "2Mb/s", "2Mbit/s", "2MB/s/s", "/s", "2TB/s", "1e400", "NaN", huge}},
		"open_files":  {"open_files must be 0 (no limit) or a whole number from 64 to 1048576", []string{"", "63", "1", "-1", "64.5", "none", "1048577", "1e3", huge}},
		"processes":   {"processes must be 0 (no limit) or a whole number from 64 to 4194304", []string{"", "63", "1", "-1", "4194305", huge}},
		"connections": {"connections must be 0 (no limit) or a whole number from 1 to 1000000", []string{"", "-1", "1.0", "1000001", huge}},
	} {
		for _, value := range c.values {
			s := Defaults(Web)
			before := s
			err := s.Set(key, value)
			if problem.CodeOf(err) != problem.Invalid || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("Set(%q, %.40q) = %v, want a Problem that says %q", key, value, err, c.want)
			}
			if s != before {
				t.Errorf("Set(%q, %.40q) failed and changed the share", key, value)
			}
		}
	}
	for _, line := range []string{"memory = true", "memory = [1]", "memory = inf", "memory = nan", "memory = -1", "memory = 1e400", "cpu = -0.5", "cpu = inf",
		"cpu = nan", "cpu = 1e400", "cpu = 0.0001", "open_files = \"64\"", "open_files = 64.0", "connections = -1", "bandwidth = 2024-01-01", "memory = 99999999999999999999"} {
		key, _, _ := strings.Cut(line, " ")
		_, err := Decode("x.toml", name(t, "x"), []byte("kind = 'web'\ntarget = '/srv'\n"+line+"\n"))
		if problem.CodeOf(err) != problem.Invalid || !strings.HasPrefix(err.Error(), "x.toml:3: "+key) {
			t.Errorf("%s: %v", line, err)
		}
	}
	for _, s := range []Share{{Memory: -1}, {Memory: 1}, {Memory: math.MaxInt64}, {CPU: -1}, {CPU: 9}, {CPU: math.MaxInt}, {OpenFiles: -1}, {OpenFiles: 1},
		{Processes: 1}, {Connections: -1}, {Bandwidth: 1}, {Bandwidth: math.MinInt64}} {
		s.Name, s.Kind, s.Target, s.Reach = name(t, "x"), Web, "/srv", Local
		if err := s.Validate(); problem.CodeOf(err) != problem.Invalid {
			t.Errorf("%+v is valid: %v", s, err)
		}
	}
}

// limits draws limits, or none, into s.
func limits(t *rapid.T, s *Share) {
	draw := func(label string, least, most int64) int64 {
		n := rapid.Int64Range(least-1, most).Draw(t, label)
		if n < least {
			return 0
		}
		return n
	}
	s.Memory, s.CPU = Bytes(draw("memory", 64<<20, 1<<40)), Processors(draw("cpu", 10, 1024_000))
	s.OpenFiles, s.Processes = int(draw("open_files", 64, 1<<20)), int(draw("processes", 64, 1<<22))
	s.Connections, s.Bandwidth = int(draw("connections", 1, 1e6)), Bytes(draw("bandwidth", 1e3, 1e12))
}
