package main

import (
	"fmt"
	"strings"
	"time"
)

// The goals.
const (
	goalGapMedian = 6 * time.Millisecond
	goalGapMax    = 25 * time.Millisecond
	goalRatio     = 1.0
	goalPerShare  = 10e6 // bytes
	goalLogin     = 3 * time.Second
	goalIdle      = 0.002 // of one core
	goalAdoption  = time.Second
)

// report is all that was measured; what was not is nil.
type report struct {
	Taken    time.Time
	Took     time.Duration
	Machine  machine
	Versions [][2]string // who, which
	Quick    bool

	Gaps    []gapResult
	Kinds   *kindsResult
	Rate    *rateResult
	Memory  *memoryResult
	Start   *startResult
	Idle    *idleResult
	Death   *deathResult
	Upgrade *upgradeResult
	Roll    *rollResults
}

func versions(r *rig, all []supervisor) [][2]string {
	list := [][2]string{{"Caddy", caddyIn(r.caddy)}}
	for _, s := range all {
		which := s.missing()
		if which == "" {
			which = s.version()
		}
		list = append(list, [2]string{s.name(), which})
	}
	return list
}

// goal is one figure against what was asked.
type goal struct{ figure, want, got, verdict string }

const notMeasured = "not measured"

// atMost judges a figure that should be small.
func atMost(got, want float64, show func(float64) string) string {
	if got <= want {
		return "met"
	}
	by := "missed by " + show(got-want)
	if want > 0 {
		by += fmt.Sprintf(" (%.0f %%)", (got/want-1)*100)
	}
	return by
}

// atLeast judges a figure that should be large.
func atLeast(got, want float64) string {
	if got >= want {
		return "met"
	}
	return fmt.Sprintf("missed by %.3f (%.1f %%)", want-got, (1-got/want)*100)
}

func plain(n float64) string { return fmt.Sprintf("%.0f", n) }
func mb(n float64) string    { return fmt.Sprintf("%.1f MB", n/1e6) }
func ms(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}
func msOf(n float64) string { return ms(time.Duration(n)) }
func seconds(d time.Duration) string {
	return fmt.Sprintf("%.2f s", d.Seconds())
}
func secondsOf(n float64) string { return seconds(time.Duration(n)) }
func percent(n float64) string   { return fmt.Sprintf("%.2f %%", n*100) }

// verdict judges by the goal that nothing is lost.
func (f felt) verdict() (got, verdict string) {
	refusals, cuts, oddities := f.lost()
	return fmt.Sprintf("%d, %d, %d", refusals, cuts, oddities), atMost(float64(refusals+cuts+oddities), 0, plain)
}

// goals are Sharetray's figures against what was asked of them.
func (rep *report) goals() []goal {
	var all []goal
	add := func(failed, figure, want string, got func() (string, string)) {
		g := goal{figure: figure, want: want, got: notMeasured, verdict: failed}
		if failed == "" {
			g.got, g.verdict = got()
		}
		all = append(all, g)
	}
	if len(rep.Gaps) > 0 {
		g := rep.Gaps[0]
		failed := either(g.Missing, g.Failed)
		add(failed, "crash gap, median", "<= "+ms(goalGapMedian), func() (string, string) {
			m := median(g.Gaps)
			return ms(m), atMost(float64(m), float64(goalGapMedian), msOf)
		})
		add(failed, "crash gap, longest", "<= "+ms(goalGapMax), func() (string, string) {
			m := largest(g.Gaps)
			return ms(m), atMost(float64(m), float64(goalGapMax), msOf)
		})
		add(failed, "refused over all crashes", "0", func() (string, string) {
			return fmt.Sprintf("%d over %d", g.Refused, len(g.Gaps)), atMost(float64(g.Refused), 0, plain)
		})
	}
	rep.Kinds.goals(add)
	if rate := rep.Rate; rate != nil {
		failed := either(rate.Missing, rate.Failed)
		for _, row := range []struct {
			what string
			pairs
		}{{"requests/s, 4 KiB file", rate.Requests}, {"bytes/s, large file", rate.Bytes}} {
			add(failed, row.what, fmt.Sprintf(">= %.1fx Caddy", goalRatio), func() (string, string) {
				r := median(ratios(row.Ours, row.Theirs))
				return fmt.Sprintf("%.3fx", r), atLeast(r, goalRatio)
			})
		}
	}
	if m := rep.Memory; m != nil {
		add(either(m.Missing, m.Failed), "anonymous memory of one more idle share", "<= "+mb(goalPerShare), func() (string, string) {
			return mb(m.perShare()), atMost(m.perShare(), goalPerShare, mb)
		})
	}
	if s := rep.Start; s != nil {
		add(either(s.Missing, s.Failed), fmt.Sprintf("until %d shares are ready, median", s.Shares), "<= "+seconds(goalLogin), func() (string, string) {
			m := median(s.Ready)
			return seconds(m), atMost(float64(m), float64(goalLogin), secondsOf)
		})
	}
	if i := rep.Idle; i != nil {
		add(either(i.Missing, i.Failed), fmt.Sprintf("CPU of %d idle shares", i.Shares), "<= "+percent(goalIdle)+" of a core", func() (string, string) {
			return percent(i.Settled), atMost(i.Settled, goalIdle, percent)
		})
	}
	if d := rep.Death; d != nil {
		failed := either(d.Missing, d.Failed)
		add(failed, fmt.Sprintf("SIGKILL of the agent under load, %d times: refused, cut, else wrong", d.Times), "0, 0, 0", d.verdict)
		add(failed, "shares not adopted as they were", "0", func() (string, string) {
			return fmt.Sprint(d.Replaced), atMost(float64(d.Replaced), 0, plain)
		})
		add(failed, "until all are adopted, longest", "<= "+ms(goalAdoption), func() (string, string) {
			m := largest(d.Adoption)
			return ms(m), atMost(float64(m), float64(goalAdoption), msOf)
		})
	}
	if u := rep.Upgrade; u != nil {
		add(either(u.Missing, u.Failed), fmt.Sprintf("upgrade of %d shares under load, %d times: refused, cut, else wrong", u.Shares, u.Times), "0, 0, 0", u.verdict)
	}
	if rep.Roll != nil {
		for _, roll := range rep.Roll.Rolls {
			if roll.Who != "Sharetray" {
				continue
			}
			add(either(roll.Missing, roll.Failed), fmt.Sprintf("%s under load, %d times: refused, cut, else wrong", roll.What, roll.Times), "0, 0, 0", roll.verdict)
		}
		stop := rep.Roll.Stop
		add(either(stop.Missing, stop.Failed), fmt.Sprintf("stop under load, %d times: connected before it and not answered whole", stop.Times), "0", func() (string, string) {
			lost := 0
			for _, c := range []count{stop.Before, stop.Downloads} {
				lost += c.by[refused] + c.by[cut] + c.by[odd]
			}
			return fmt.Sprint(lost), atMost(float64(lost), 0, plain)
		})
	}
	return all
}

// failures lists what is there but could not be measured.
func (rep *report) failures() []string {
	var all []string
	add := func(what, failed string) {
		if failed != "" {
			all = append(all, what+": "+failed)
		}
	}
	for _, g := range rep.Gaps {
		add("crash gap of "+g.Who, g.Failed)
	}
	rep.Kinds.failures(add)
	if rep.Rate != nil {
		add("throughput", rep.Rate.Failed)
	}
	if rep.Memory != nil {
		add("memory", rep.Memory.Failed)
	}
	if rep.Start != nil {
		add("start", rep.Start.Failed)
	}
	if rep.Idle != nil {
		add("idle shares", rep.Idle.Failed)
	}
	if rep.Death != nil {
		add("death of the agent", rep.Death.Failed)
	}
	if rep.Upgrade != nil {
		add("upgrade", rep.Upgrade.Failed)
	}
	if rep.Roll != nil {
		for _, roll := range rep.Roll.Rolls {
			add(roll.What+" of "+roll.Who, roll.Failed)
		}
		add("stop", rep.Roll.Stop.Failed)
	}
	return all
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// page is a text that is being written.
type page struct{ strings.Builder }

func (p *page) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

// table begins a table.
func (p *page) table(columns ...string) {
	p.line("")
	p.row(columns...)
	p.WriteString(strings.Repeat("|---", len(columns)) + "|\n")
}

func (p *page) row(cells ...string) {
	for _, cell := range cells {
		cell = strings.NewReplacer("|", `\|`, "\n", " ").Replace(cell)
		p.WriteString("| " + cell + " ")
	}
	p.WriteString("|\n")
}

// blank is a row for one of whom there are no figures.
func (p *page) blank(columns int, who, why string) {
	cells := make([]string, columns)
	cells[0], cells[1] = who, why
	p.row(cells...)
}

// markdown is the page.
func (rep *report) markdown() string {
	p := &page{}
	p.line("# Benchmarks")
	p.line("")
	p.line("Written by `make bench`, which measures Sharetray beside its peers in one run.")
	if rep.Quick {
		p.line("**A quick run: it shows that the measuring works, its figures mean little.**")
	}
	p.line("")
	p.line("- Taken: %s, in %s", rep.Taken.UTC().Format("2006-01-02 15:04 UTC"), rep.Took.Round(time.Second))
	p.line("- Machine: %s; load average when it began: %s", rep.Machine, rep.Machine.LoadAvg)
	for _, v := range rep.Versions {
		p.line("- %s: %s", v[0], v[1])
	}
	p.line("")
	p.line("## Goals")
	p.table("figure", "goal", "Sharetray", "verdict")
	for _, g := range rep.goals() {
		p.row(g.figure, g.want, g.got, g.verdict)
	}
	rep.writeGaps(p)
	rep.Kinds.write(p)
	rep.writeRate(p)
	rep.writeMemory(p)
	rep.writeStart(p)
	rep.writeIdle(p)
	rep.writeDeath(p)
	rep.writeRoll(p)
	return p.String()
}

func (rep *report) writeGaps(p *page) {
	if len(rep.Gaps) == 0 {
		return
	}
	p.line("")
	p.line("## A crash")
	p.line("")
	p.line("The process that serves is killed by SIGKILL once it has answered for a while, under %d visitors who", visitors)
	p.line("ask for a 4 KiB file without pause, each time on a new connection (%v of waiting after a refusal). The", afterRefusal)
	p.line("peers supervise stock `caddy file-server` with their own defaults. The gap is from the kill to the end of the")
	p.line("first whole answer to a request that was sent after it. *Cut* were those that the dying process had accepted.")
	p.table("supervisor", "kills", "gap, median", "gap, longest", "refused", "refused a kill", "cut", "else wrong")
	for _, g := range rep.Gaps {
		if why := either(g.Missing, g.Failed); why != "" {
			p.blank(8, g.Who, why)
			continue
		}
		n := len(g.Gaps)
		wrong := fmt.Sprint(g.Odd)
		if g.Oddity != "" {
			wrong += " (" + g.Oddity + ")"
		}
		p.row(g.Who, fmt.Sprint(n), ms(median(g.Gaps)), ms(largest(g.Gaps)),
			fmt.Sprint(g.Refused), fmt.Sprintf("%.1f", float64(g.Refused)/float64(n)), fmt.Sprint(g.Cut), wrong)
	}
}

func (rep *report) writeRate(p *page) {
	rate := rep.Rate
	if rate == nil {
		return
	}
	p.line("")
	p.line("## Throughput")
	p.line("")
	p.line("In turns, on one machine with the client, which has a process of its own: a 4 KiB file over 16 kept connections,")
	p.line("and one of %d MiB over 2. Medians; the ratio is the median of the pairs' ratios, beside their least and greatest.", rate.Large>>20)
	p.table("what", "Sharetray", "stock Caddy", "pairs", "ratio", "least to greatest")
	for _, row := range []struct {
		what string
		pairs
		show func(float64) string
	}{
		{"requests/s, 4 KiB file", rate.Requests, plain},
		{"MiB/s, large file", rate.Bytes, func(n float64) string { return plain(n / (1 << 20)) }},
	} {
		theirs := row.show(median(row.Theirs))
		if why := either(rate.Missing, rate.Failed); why != "" {
			p.row(row.what, why, theirs, "", "", "")
			continue
		}
		r := ratios(row.Ours, row.Theirs)
		p.row(row.what, row.show(median(row.Ours)), theirs, fmt.Sprint(len(r)),
			fmt.Sprintf("%.3f", median(r)), fmt.Sprintf("%.3f to %.3f", least(r), largest(r)))
	}
}

func (rep *report) writeMemory(p *page) {
	m := rep.Memory
	if m == nil {
		return
	}
	p.line("")
	p.line("## Memory")
	p.line("")
	p.line("Anonymous memory (RssAnon), all processes added up, after %d requests to each share, when it changes no more.", each)
	p.table("what", "processes", "anonymous memory")
	if why := either(m.Missing, m.Failed); why != "" {
		p.blank(3, "Sharetray", why)
	} else {
		p.row(fmt.Sprintf("Sharetray with %d shares", m.FewN), fmt.Sprint(m.FewProc), mb(float64(m.Few)))
		p.row(fmt.Sprintf("Sharetray with %d shares", m.ManyN), fmt.Sprint(m.ManyProc), mb(float64(m.Many)))
		p.row("each share more", "", mb(m.perShare()))
	}
	if m.Caddy > 0 {
		p.row("one stock Caddy", "1", mb(float64(m.Caddy)))
	}
}

func (rep *report) writeStart(p *page) {
	s := rep.Start
	if s == nil {
		return
	}
	p.line("")
	p.line("## Login")
	p.line("")
	p.line("From the start of the agent, with %d shares declared, until each has answered a request, and until `list` says", s.Shares)
	p.line("that all are ready.")
	p.table("what", "median", "longest", "rounds")
	if why := either(s.Missing, s.Failed); why != "" {
		p.blank(4, "Sharetray", why)
		return
	}
	rounds := fmt.Sprint(len(s.Ready))
	p.row("all have answered", seconds(median(s.Answered)), seconds(largest(s.Answered)), rounds)
	p.row("all are ready", seconds(median(s.Ready)), seconds(largest(s.Ready)), rounds)
}

func (rep *report) writeIdle(p *page) {
	i := rep.Idle
	if i == nil {
		return
	}
	p.line("")
	p.line("## Idle")
	p.line("")
	p.line("Processor time of all processes together with %d shares that nobody visits, in two windows of %v, one after", i.Shares, i.Window)
	p.line("the other, from when all were ready. What nobody visits is checked ever more rarely, so the second tells of the")
	p.line("rest of the day.")
	p.table("window", "of one core")
	if why := either(i.Missing, i.Failed); why != "" {
		p.blank(2, "Sharetray", why)
		return
	}
	p.row("first", percent(i.First))
	p.row("second", percent(i.Settled))
	p.row("of which the agent", percent(i.OfAgent))
}

func (rep *report) writeDeath(p *page) {
	if rep.Death == nil && rep.Upgrade == nil {
		return
	}
	p.line("")
	p.line("## The agent's death, and upgrades")
	p.line("")
	p.line("Each share has one visitor on new connections and one on kept ones, and one share two slow downloads of a large")
	p.line("file besides, whose every byte is compared. The agent is ended by SIGKILL, and its shares' processes bring")
	p.line("another one to life; until all are adopted is from the kill to the last share's entry in its history. An upgrade")
	p.line("is `sharetray upgrade` to another file, from the command's start to its end, with all shares rolled.")
	p.table("what", "shares", "times", "median", "longest", "answered whole", "refused", "cut", "downloads whole", "downloads cut", "else wrong")
	row := func(what, why string, shares int, took []time.Duration, f felt) {
		if why != "" {
			p.blank(11, what, why)
			return
		}
		p.row(what, fmt.Sprint(shares), fmt.Sprint(len(took)), seconds(median(took)), seconds(largest(took)),
			fmt.Sprint(f.Fresh.by[answered]+f.Kept.by[answered]),
			fmt.Sprint(f.Fresh.by[refused]+f.Kept.by[refused]+f.Downloads.by[refused]),
			fmt.Sprint(f.Fresh.by[cut]+f.Kept.by[cut]),
			fmt.Sprint(f.Downloads.by[answered]), fmt.Sprint(f.Downloads.by[cut]), f.wrong())
	}
	if d := rep.Death; d != nil {
		row("SIGKILL of the agent", either(d.Missing, d.Failed), d.Shares, d.Adoption, d.felt)
	}
	if u := rep.Upgrade; u != nil {
		row("upgrade", either(u.Missing, u.Failed), u.Shares, u.Took, u.felt)
	}
}

func (rep *report) writeRoll(p *page) {
	if rep.Roll == nil {
		return
	}
	p.line("")
	p.line("## Restarts and stops under load")
	p.line("")
	p.line("Two visitors on new connections, two on kept ones, and two slow downloads of a large file, while it is restarted")
	p.line("(the peers by their own command, at their defaults). A download is whole when every byte is right. *Closed while")
	p.line("idle* is the part of the cut where a kept connection was closed just as the next request was on its way.")
	p.table("who", "what", "times", "answered whole", "refused", "cut", "of these closed while idle", "downloads whole", "downloads cut", "else wrong")
	for _, roll := range rep.Roll.Rolls {
		if why := either(roll.Missing, roll.Failed); why != "" {
			p.blank(10, roll.Who, roll.What+": "+why)
			continue
		}
		sum := roll.Fresh
		sum.add(roll.Kept)
		p.row(roll.Who, roll.What, fmt.Sprint(roll.Times), fmt.Sprint(sum.by[answered]),
			fmt.Sprint(sum.by[refused]+roll.Downloads.by[refused]), fmt.Sprint(sum.by[cut]), fmt.Sprint(sum.idle),
			fmt.Sprint(roll.Downloads.by[answered]), fmt.Sprint(roll.Downloads.by[cut]), roll.wrong())
	}
	p.line("")
	p.line("A stop: what became of the requests whose connection was there before it was asked for, of those that came while")
	p.line("it stopped, and of the downloads in flight.")
	p.table("who", "times", "before: whole", "before: lost", "meanwhile: whole", "meanwhile: cut", "downloads whole", "downloads lost")
	stop := rep.Roll.Stop
	if why := either(stop.Missing, stop.Failed); why != "" {
		p.blank(8, "Sharetray", why)
		return
	}
	p.row("Sharetray", fmt.Sprint(stop.Times),
		fmt.Sprint(stop.Before.by[answered]), fmt.Sprint(stop.Before.by[cut]+stop.Before.by[odd]),
		fmt.Sprint(stop.During.by[answered]), fmt.Sprint(stop.During.by[cut]+stop.During.by[odd]),
		fmt.Sprint(stop.Downloads.by[answered]), fmt.Sprint(stop.Downloads.by[cut]+stop.Downloads.by[odd]))
}
