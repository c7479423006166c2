// Command bench measures Sharetray beside its peers, in one run on the machine
// at hand, and writes what it saw as a page of tables: how long a crash is felt
// under runit, s6, supervisord and pm2, throughput and memory beside stock
// Caddy, the time until many shares are ready, what they cost while nobody visits,
// and what the agent's death, an upgrade and a restart cost the visitors.
//
// It knows Sharetray by its commands only, and ends nothing but what it started.
// Linux is where it measures; elsewhere it only compiles.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// plan says how much is measured.
type plan struct {
	kills     int           // of each supervisor's process
	kindKills int           // of the process of each kind of share
	uptime    time.Duration // how long a service answers before it is killed again
	pairs     int           // rounds of throughput, each one window a server
	window    time.Duration
	warmup    time.Duration
	large     int64         // size of the large file for throughput
	few, many int           // shares between which memory is compared
	shares    int           // that are started at once
	starts    int           // how often
	idle      time.Duration // for which they are watched while nobody visits, twice
	deaths    int           // of the agent, under load
	upgrades  int           // under load
	upgraded  int           // shares, each time
	rolls     int           // restarts, and changes of a setting, under load
	stops     int
	download  int64 // size of what is being downloaded meanwhile
}

var (
	whole = plan{
		kills: 20, kindKills: 10, uptime: 1500 * time.Millisecond,
		pairs: 9, window: 2 * time.Second, warmup: 300 * time.Millisecond, large: 512 << 20,
		few: 2, many: 12, shares: 100, starts: 3, idle: 5 * time.Minute,
		deaths: 50, upgrades: 3, upgraded: 20, rolls: 20, stops: 5, download: 48 << 20,
	}
	quick = plan{
		kills: 2, kindKills: 1, uptime: 1200 * time.Millisecond,
		pairs: 2, window: 200 * time.Millisecond, warmup: 50 * time.Millisecond, large: 8 << 20,
		few: 1, many: 3, shares: 4, starts: 1, idle: time.Second,
		deaths: 2, upgrades: 1, upgraded: 3, rolls: 2, stops: 1, download: 4 << 20,
	}
)

var parts = []string{"gap", "kinds", "rate", "memory", "start", "idle", "death", "upgrade", "roll"}

func main() {
	workerMain()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var (
		binary = flags.String("sharetray", "./bin/sharetray", "the Sharetray `binary` that is measured")
		caddy  = flags.String("caddy", "", "a stock Caddy `binary`; built from this module when not given")
		peers  = flags.String("peers", "", "the `folder` into which install-peers.sh put pm2; .peers beside it when not given")
		out    = flags.String("out", "", "the `file` that is written; docs/benchmarks.md when all is measured, else none")
		only   = flags.String("only", "", "measure only these, with commas between: "+strings.Join(parts, ", "))
		short  = flags.Bool("quick", false, "a short run that shows that all works; its figures mean little")
		kills  = flags.Int("kills", 0, "how often each supervisor's process is killed")
	)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	wanted, err := choose(*only)
	if err != nil {
		return err
	}
	p := whole
	if *short {
		p = quick
	}
	if *kills > 0 {
		p.kills = *kills
	}
	if *out == "" && *only == "" && !*short {
		*out = filepath.Join("docs", "benchmarks.md")
	}
	if runtime.GOOS != "linux" {
		return fmt.Errorf("this measures by what /proc tells, which %s has not", runtime.GOOS)
	}

	r, err := newRig(stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	if r.caddy, err = stockCaddy(ctx, r, *caddy); err != nil {
		return err
	}
	if *peers == "" {
		*peers = ownPeers(ctx)
	}
	tray, err := findSharetray(*binary)
	if err != nil {
		return err
	}
	if err := r.addFile(downloadFile, p.download); err != nil {
		return err
	}
	rep := &report{Taken: time.Now(), Machine: thisMachine(), Quick: *short}
	supervisors := []supervisor{tray, findRunit(), findPM2(*peers), findS6(), findSupervisord()}
	rep.Versions = versions(r, supervisors)

	for _, part := range parts {
		if !slices.Contains(wanted, part) {
			continue
		}
		switch part {
		case "gap":
			rep.Gaps = measureGaps(ctx, r, supervisors, p)
		case "kinds":
			rep.Kinds = measureKinds(ctx, r, tray, p)
		case "rate":
			rep.Rate = measureRate(ctx, r, tray, p)
		case "memory":
			rep.Memory = measureMemory(ctx, r, tray, p)
		case "start":
			rep.Start = measureStart(ctx, r, tray, p)
		case "idle":
			rep.Idle = measureIdle(ctx, r, tray, p)
		case "death":
			rep.Death = measureDeath(ctx, r, tray, p)
		case "upgrade":
			rep.Upgrade = measureUpgrade(ctx, r, tray, p)
		case "roll":
			rep.Roll = measureRoll(ctx, r, tray, supervisors, p)
		}
		if ctx.Err() != nil {
			return errors.New("interrupted; nothing was written")
		}
	}
	rep.Took = time.Since(rep.Taken)

	page := rep.markdown()
	if _, err := io.WriteString(stdout, page); err != nil {
		return err
	}
	if *out != "" {
		if err := os.WriteFile(*out, []byte(page), 0o644); err != nil {
			return err
		}
	}
	if failed := rep.failures(); len(failed) > 0 {
		return fmt.Errorf("not all could be measured:\n  %s", strings.Join(failed, "\n  "))
	}
	return nil
}

// choose reads the -only flag.
func choose(only string) ([]string, error) {
	if only == "" {
		return parts, nil
	}
	chosen := strings.Split(only, ",")
	for _, part := range chosen {
		if !slices.Contains(parts, part) {
			return nil, fmt.Errorf("-only %s: there is no %q, only %s", only, part, strings.Join(parts, ", "))
		}
	}
	return chosen, nil
}
