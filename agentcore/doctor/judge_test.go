package doctor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sharetray/agentcore"
	"sharetray/agentcore/adopt"
	"sharetray/agentcore/link"
	"sharetray/agentcore/problem"
	"sharetray/agentcore/share"
	"sharetray/agentcore/store"
	"sharetray/agentcore/supervise"
	"sharetray/platform"
)

func process(answer adopt.Answer, duty link.Duty, change func(*Process)) Facts {
	p := Process{PID: 7, Left: []string{"/run/l/abc"}}
	p.Share, p.Answer, p.Duty, p.Link, p.Record = "photos", answer, duty, "/run/l/abc", "/state/abc.json"
	if change != nil {
		change(&p)
	}
	return Facts{Processes: []Process{p}}
}

func (f Facts) with(change func(*Facts)) Facts {
	change(&f)
	return f
}

func runsAgent(f *Facts) {
	f.Agent = Agent{Runs: true, Lives: true, PID: 3, Info: agentcore.Info{PID: 3}}
}
func hangs(f *Facts) { f.Agent = Agent{Lives: true, PID: 3} }

func things(things ...Thing) Facts { return Facts{RuntimeDir: "/run/s", Things: things} }

func declared(name string, port uint16) store.Entry {
	n, err := share.ParseName(name)
	if err != nil {
		panic(err)
	}
	return store.Entry{Name: name, Share: share.Share{Name: n, Port: port}}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	alone := func(p *Process) { p.Alone = true }
	recorded := func(p *Process) { p.Recorded = true }
	full := problem.New(problem.Conflict, "port 80 is in use by x (pid 1): choose another port, or end that program")
	for name, c := range map[string]struct {
		facts Facts
		check Check
		state State
		act   act
		says  string // part of the one finding of that check; "" for none at all
	}{
		"no agent":              {Facts{}, CheckAgent, Info, "", "`sharetray` starts one"},
		"an agent":              {Facts{}.with(runsAgent), CheckAgent, OK, "", "pid 3"},
		"a hung agent":          {Facts{}.with(hangs), CheckAgent, Problem, "", "`kill -9 3`"},
		"a hung agent, unnamed": {Facts{Agent: Agent{Lives: true}}, CheckAgent, Problem, "", "end its process"},
		"an older agent":        {Facts{Version: "v2"}.with(runsAgent), CheckAgent, Info, "", "this program is v2: `sharetray upgrade`"},
		"a replaced program":    {Facts{}.with(runsAgent).with(func(f *Facts) { f.Agent.Info.Outdated = true }), CheckAgent, Info, "", "`sharetray upgrade`"},

		"settings":     {Facts{}, CheckSettings, OK, "", "can be used"},
		"bad settings": {Facts{NoSettings: errors.New("settings.toml:3: x")}, CheckSettings, Problem, "", "settings.toml:3: x; until then the defaults"},

		"no shares":   {Facts{}, CheckShares, OK, "", "nothing is shared"},
		"two shares":  {Facts{Shares: []store.Entry{declared("a", 1), declared("b", 2)}}, CheckShares, OK, "", "2 shares"},
		"a bad share": {Facts{Shares: []store.Entry{{Name: "a", Err: errors.New("a.toml:2: y")}}}, CheckShares, Problem, "", "a.toml:2: y"},
		"no folder":   {Facts{NoShares: errors.New("the folder of shares can't be read")}, CheckShares, Problem, "", "can't be read"},
		"a share is down": {Facts{}.with(runsAgent).with(func(f *Facts) {
			f.Agent.Shares = []agentcore.Status{{Name: "a", State: supervise.Unhealthy, LastError: "the app is down"}}
		}), CheckShares, Problem, "", "a is unhealthy: the app is down"},
		"told once": {Facts{Shares: []store.Entry{{Name: "a", Err: errors.New("a.toml:2: y")}}}.with(runsAgent).with(func(f *Facts) {
			f.Agent.Shares = []agentcore.Status{{Name: "a", State: supervise.Invalid, LastError: "a.toml:2: y"}}
		}), CheckShares, Problem, "", "a.toml:2: y"},
		"it was down": {Facts{}.with(runsAgent).with(func(f *Facts) {
			f.Agent.Shares = []agentcore.Status{{Name: "a", State: supervise.Ready, LastError: "past"}}
		}), CheckShares, OK, "", "nothing is shared"},

		"ports":           {Facts{Shares: []store.Entry{declared("a", 1), declared("b", 2)}, Ports: map[string]error{"a": nil}}, CheckPorts, OK, "", "has its port"},
		"one port twice":  {Facts{Shares: []store.Entry{declared("a", 1), declared("b", 1)}}, CheckPorts, Problem, "", "a and b both have port 1: give one of them another with `sharetray set b port=NUMBER`"},
		"a port is taken": {Facts{Ports: map[string]error{"a": full}}, CheckPorts, Problem, "", "a: port 80 is in use by x (pid 1)"},

		"folders":           {Facts{}, CheckFolders, OK, "", "folders"},
		"no runtime folder": {Facts{NoRuntime: errors.New("no private folder")}, CheckFolders, Problem, "", "no private folder"},
		"another folder":    {Facts{RuntimeDir: "/tmp/x", AskedFor: "/run/7"}, CheckFolders, Info, "", "sockets are in /tmp/x, since /run/7 can't be used"},
		"read-only":         {Facts{Unwritable: map[string]error{"/home": errors.New("read-only file system")}}, CheckFolders, Problem, "", "nothing can be kept in /home: read-only file system"},
		"room":              {Facts{Disks: []Disk{{"/", 1 << 30}}}, CheckDisk, OK, "", "room"},
		"little room":       {Facts{Disks: []Disk{{"/", 1 << 20}}}, CheckDisk, Problem, "", "only 1.0 MB are free on the disk of /"},
		"no room":           {Facts{Disks: []Disk{{"/", 0}}}, CheckDisk, Problem, "", "full"},

		"no desktop that is known": {Facts{}, CheckDesktop, "", "", ""},
		"a desktop":                {Facts{DesktopSeen: true, Desktop: platform.Desktop{TrayHost: true, Notifications: true}}, CheckDesktop, OK, "", "shows"},
		"no bus":                   {Facts{DesktopSeen: true, Desktop: platform.Desktop{Bus: errors.New("x")}}, CheckDesktop, Info, "", "no session bus"},
		"no tray host":             {Facts{DesktopSeen: true, Desktop: platform.Desktop{Notifications: true}}, CheckDesktop, Info, "", "no tray host: the icon shows when one appears"},
		"no notifications":         {Facts{DesktopSeen: true, Desktop: platform.Desktop{TrayHost: true}}, CheckDesktop, Info, "", "notifications"},

		"served":                    {process(adopt.Ours, link.Serves, nil).with(runsAgent), CheckProcesses, OK, "", "1 share process runs"},
		"an orphan":                 {process(adopt.Ours, link.Serves, alone), CheckProcesses, Info, "", "photos is served without an agent (pid 7), for as long as its lease: an agent takes it over, start one with `sharetray`"},
		"an orphan of a hung agent": {process(adopt.Ours, link.Serves, alone).with(hangs), CheckProcesses, Info, "", "without an agent"},
		"nobody wants it":           {process(adopt.Ours, link.Serves, alone).with(runsAgent), CheckProcesses, Problem, end, "process 7 serves photos, and the agent does not know of it"},
		"nobody wants it right now": {process(adopt.Ours, link.Serves, func(p *Process) { p.Alone, p.Fresh = true, true }).with(runsAgent), CheckProcesses, OK, "", "no share process"},
		"in the middle of an upgrade": {process(adopt.Ours, link.Serves, alone).with(runsAgent).with(func(f *Facts) {
			f.Agent.Info.Upgrade = &agentcore.Upgrade{State: agentcore.UpgradeRolling}
		}), CheckProcesses, Info, "", "waits for the agent that takes over"},
		"it ends by itself":     {process(adopt.Ours, link.Draining, alone).with(runsAgent), CheckProcesses, Info, "", "ends by itself"},
		"a standby without one": {process(adopt.Ours, link.Idle, alone), CheckProcesses, Info, "", "ends by itself"},
		"silent":                {process(adopt.Silent, "", recorded).with(runsAgent), CheckProcesses, Problem, "", "`sharetray restart photos`"},
		"silent, no agent":      {process(adopt.Silent, "", recorded), CheckProcesses, Problem, "", "start one with `sharetray`"},
		"silent, nameless":      {process(adopt.Silent, "", nil), CheckProcesses, Problem, "", "left alone"},
		"a stranger":            {process(adopt.Stranger, "", nil), CheckProcesses, Problem, "", "left alone"},
		"a newer process":       {process(adopt.Newer, "", nil), CheckProcesses, Info, "", "newer version"},
		"dead":                  {process(adopt.Nobody, "", nil), CheckLeftovers, Problem, forget, "a share process that has ended (photos) has left /run/l/abc"},
		"dead, of no share":     {process(adopt.Nobody, "", func(p *Process) { p.Share = "" }), CheckLeftovers, Problem, forget, "has ended has left"},
		"dead a moment ago":     {process(adopt.Nobody, "", func(p *Process) { p.Fresh = true }), CheckLeftovers, OK, "", "nothing"},
		"unreachable":           {process(adopt.Nobody, "", func(p *Process) { p.Lives = true }), CheckProcesses, Problem, "", "left alone; remove the record if"},

		"a planted link":        {things(Thing{Path: "/run/s/l/x", Kind: Sock, Odd: "is a link to elsewhere"}), CheckLeftovers, Problem, "", "/run/s/l/x is a link to elsewhere: left alone"},
		"a foreign record":      {things(Thing{Path: "/r/x.json", Kind: Record, Odd: "is not this user's alone"}), CheckLeftovers, Problem, "", "left alone"},
		"a newer record":        {things(Thing{Path: "/r/x.json", Kind: Record, Newer: true}), CheckLeftovers, Info, "", "newer version: left to that"},
		"a record":              {things(Thing{Path: "/r/x.json", Kind: Record}), CheckLeftovers, OK, "", "nothing"},
		"a link":                {things(Thing{Path: "/run/s/l/x", Kind: Sock}), CheckLeftovers, OK, "", "nothing"},
		"a note":                {things(Thing{Path: "/r/note", Kind: Unknown}), CheckLeftovers, Info, "", "left alone"},
		"a temporary file":      {things(Thing{Path: "/r/.tmp", Kind: Temporary}), CheckLeftovers, Problem, remove, "interrupted write"},
		"one of now":            {things(Thing{Path: "/r/.tmp", Kind: Temporary, Age: time.Second}).with(runsAgent), CheckLeftovers, OK, "", "nothing"},
		"one of long ago":       {things(Thing{Path: "/r/.tmp", Kind: Temporary, Age: time.Hour}).with(hangs), CheckLeftovers, Problem, remove, "interrupted write"},
		"a foreign one":         {things(Thing{Path: "/r/.tmp", Kind: Temporary, Odd: "is not this user's alone"}), CheckLeftovers, Problem, "", "left alone"},
		"logs":                  {things(Thing{Path: "/l/a", Kind: Logs, Share: "a"}), CheckLeftovers, Problem, empty, "a, which is no share any more"},
		"logs elsewhere":        {things(Thing{Path: "/l/a", Kind: Logs, Share: "a", Odd: "is a link to elsewhere"}), CheckLeftovers, Problem, "", "left alone"},
		"a history":             {things(Thing{Path: "/h/a", Kind: History, Share: "a"}), CheckLeftovers, Problem, remove, "no share any more"},
		"of a share":            {things(Thing{Path: "/l/a", Kind: Logs, Share: "a", Odd: "is a link to elsewhere"}).with(func(f *Facts) { f.Shares = []store.Entry{declared("A", 1)} }), CheckLeftovers, OK, "", "nothing"},
		"of an invalid share":   {things(Thing{Path: "/l/a", Kind: Logs, Share: "a"}).with(func(f *Facts) { f.Shares = []store.Entry{{Name: "a", Err: errors.New("x")}} }), CheckLeftovers, OK, "", "nothing"},
		"of who knows":          {things(Thing{Path: "/l/a", Kind: Logs, Share: "a"}).with(func(f *Facts) { f.NoShares = errors.New("x") }), CheckLeftovers, OK, "", "nothing"},
		"of what still runs":    {things(Thing{Path: "/l/a", Kind: Logs, Share: "photos"}).with(func(f *Facts) { f.Processes = process(adopt.Ours, link.Draining, alone).Processes }), CheckLeftovers, OK, "", "nothing"},
		"of what the agent has": {things(Thing{Path: "/l/a", Kind: History, Share: "a"}).with(runsAgent).with(func(f *Facts) { f.Agent.Shares = []agentcore.Status{{Name: "a"}} }), CheckLeftovers, OK, "", "nothing"},

		"a dead agent":          {things(Thing{Path: "/run/s/lock", Kind: Runtime}, Thing{Path: "/run/s/l", Kind: Runtime}), CheckLeftovers, Problem, vacate, "has left lock, l in /run/s"},
		"an agent's own":        {things(Thing{Path: "/run/s/lock", Kind: Runtime}).with(runsAgent), CheckLeftovers, OK, "", "nothing"},
		"a hung agent's own":    {things(Thing{Path: "/run/s/lock", Kind: Runtime}).with(hangs), CheckLeftovers, OK, "", "nothing"},
		"what orphans need":     {things(Thing{Path: "/run/s/lock", Kind: Runtime}).with(func(f *Facts) { f.Processes = process(adopt.Ours, link.Serves, alone).Processes }), CheckLeftovers, OK, "", "nothing"},
		"what a silent one may": {things(Thing{Path: "/run/s/lock", Kind: Runtime}).with(func(f *Facts) { f.Processes = process(adopt.Silent, "", nil).Processes }), CheckLeftovers, OK, "", "nothing"},
		"beside a planted link": {things(Thing{Path: "/run/s/l/x", Kind: Sock, Odd: "is a link to elsewhere"}, Thing{Path: "/run/s/lock", Kind: Runtime}), CheckLeftovers, Problem, "", "/run/s/l/x is a link"},
		"a planted lock":        {things(Thing{Path: "/run/s/lock", Kind: Runtime, Odd: "is a link to elsewhere"}, Thing{Path: "/run/s/l", Kind: Runtime}), CheckLeftovers, Problem, "", "/run/s/lock is a link to elsewhere"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []Finding
			for _, f := range Judge(c.facts) {
				if f.Check == c.check {
					got = append(got, f)
				}
				if f.Sentence == "" || strings.Contains(f.Sentence, "%!") || strings.HasSuffix(f.Sentence, ".") {
					t.Errorf("no sentence: %q", f.Sentence)
				}
			}
			if c.says == "" && len(got) == 0 {
				return
			}
			if len(got) != 1 || got[0].State != c.state || got[0].remedy.act != c.act || !strings.Contains(got[0].Sentence, c.says) {
				t.Errorf("%+v, want one that is %s (%q) and says %q", got, c.state, c.act, c.says)
			}
		})
	}
}

// TestJudgeMendsOnlyWhatIsProved: whatever is there, nothing is removed that is
// odd, or of a process that may live, and nobody is asked to end but one that has
// proved who it is, while there is an agent.
func TestJudgeMendsOnlyWhatIsProved(t *testing.T) {
	t.Parallel()
	for _, answer := range []adopt.Answer{adopt.Nobody, adopt.Silent, adopt.Stranger, adopt.Newer, adopt.Ours} {
		for _, duty := range []link.Duty{"", link.Idle, link.Serves, link.Draining} {
			for bits := range 32 {
				bit := func(n int) bool { return bits>>n&1 == 1 }
				f := process(answer, duty, func(p *Process) { p.Alone, p.Lives, p.Recorded, p.Fresh = bit(0), bit(1), bit(2), bit(3) })
				if bit(4) {
					runsAgent(&f)
				}
				f.Things = []Thing{{Path: "/run/lock", Kind: Runtime}, {Path: "/log", Kind: Logs, Share: "photos"}}
				p := f.Processes[0]
				mayLive := answer != adopt.Nobody || p.Lives
				for _, g := range Judge(f) {
					wrong := false
					switch g.remedy.act {
					case end:
						wrong = answer != adopt.Ours || duty != link.Serves || !p.Alone || p.Fresh || !f.Agent.Runs
					case forget:
						wrong = mayLive || p.Fresh
					case vacate:
						wrong = mayLive || f.Agent.Runs
					case empty:
						wrong = mayLive
					}
					if wrong {
						t.Errorf("%s of %s", g.remedy.act, fmt.Sprintf("%+v, agent %t", p, f.Agent.Runs))
					}
				}
			}
		}
	}
}

// TestJudgeInOrder: every check has its say, in the same order whatever is found.
func TestJudgeInOrder(t *testing.T) {
	t.Parallel()
	var checks []Check
	for _, f := range Judge(Facts{DesktopSeen: true}) {
		checks = append(checks, f.Check)
	}
	if want := []Check{CheckAgent, CheckSettings, CheckShares, CheckPorts, CheckFolders, CheckDisk, CheckDesktop, CheckProcesses, CheckLeftovers}; !slices.Equal(slices.Compact(checks), want) {
		t.Errorf("%v, want %v", checks, want)
	}
}
