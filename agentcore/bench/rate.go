package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"time"
)

const largeFile = "large.bin"

// rateResult is the throughput of Sharetray beside stock Caddy, pair by pair.
type rateResult struct {
	Missing, Failed string
	Requests        pairs // a second, of a 4 KiB file
	Bytes           pairs // a second, of a large file
	Large           int64 // how large
}

// pairs are figures taken in turns, so that what else the machine does falls on both.
type pairs struct{ Ours, Theirs []float64 }

func measureRate(ctx context.Context, r *rig, tray sharetray, p plan) *rateResult {
	res := &rateResult{Missing: tray.missing(), Large: p.large}
	if err := res.measure(ctx, r, tray, p); err != nil {
		res.Failed = err.Error()
	}
	return res
}

func (res *rateResult) measure(ctx context.Context, r *rig, tray sharetray, p plan) error {
	if err := r.addFile(largeFile, p.large); err != nil {
		return err
	}
	defer os.Remove(r.site + "/" + largeFile)
	ports, err := freePorts(2)
	if err != nil {
		return err
	}
	caddy, err := plainCaddy(r, ports[0])
	if err != nil {
		return err
	}
	defer caddy.stop()
	if err := firstAnswer(ctx, ports[0]); err != nil {
		return err
	}
	if res.Missing == "" {
		ours, err := tray.one(ctx, r, ports[1])
		if err != nil {
			return err
		}
		defer ours.stop()
		if err := firstAnswer(ctx, ports[1]); err != nil {
			return err
		}
	}
	jobs := []struct {
		what  string
		file  string
		size  int64
		conns int
		into  *pairs
	}{
		{"requests of 4 KiB", smallFile, smallSize, 16, &res.Requests},
		{"a large file", largeFile, p.large, 2, &res.Bytes},
	}
	for _, job := range jobs {
		r.say("throughput: %s, %d pairs", job.what, p.pairs)
		ask := func(port int) (float64, error) {
			got, err := throughput(ctx, workSpec{
				Addr: address(port), File: job.file, Size: job.size, Conns: job.conns,
				Warmup: p.warmup, Window: p.window,
			})
			if job.into == &res.Bytes {
				return got.Bytes, err
			}
			return got.Requests, err
		}
		for i := range p.pairs {
			order := []int{0, 1}
			if i%2 == 1 {
				order = []int{1, 0} // so that neither is always the first
			}
			for _, which := range order {
				if which == 1 && res.Missing != "" {
					continue
				}
				figure, err := ask(ports[which])
				if err != nil {
					return err
				}
				if which == 0 {
					job.into.Theirs = append(job.into.Theirs, figure)
				} else {
					job.into.Ours = append(job.into.Ours, figure)
				}
			}
		}
	}
	return nil
}

// firstAnswer waits until a server answers.
func firstAnswer(ctx context.Context, port int) error { return at(port).firstAnswer(ctx) }

// at is the small file at a port.
func at(port int) target { return target{addr: address(port), file: smallFile, size: smallSize} }

func (t target) firstAnswer(ctx context.Context) error {
	c := client{target: t, timeout: 5 * time.Second}
	return poll(ctx, "the server answers", 5*time.Millisecond, func() (bool, error) {
		_, err := c.do()
		if err != nil && classify(err) == odd {
			return false, err
		}
		return err == nil, nil
	})
}

// The load is made by a process of its own, the same for each server: by this
// program, told by an environment variable what to do.
const workerEnv = "SHARETRAY_BENCH_WORKER"

type workSpec struct {
	Addr, File     string
	Size           int64
	Conns          int
	Warmup, Window time.Duration
}

// workDone is what the worker saw, a second.
type workDone struct{ Requests, Bytes float64 }

func throughput(ctx context.Context, spec workSpec) (done workDone, err error) {
	text, err := json.Marshal(spec)
	if err != nil {
		return done, err
	}
	self, err := os.Executable()
	if err != nil {
		return done, err
	}
	ctx, cancel := context.WithTimeout(ctx, spec.Warmup+spec.Window+30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), workerEnv+"="+string(text))
	var complained bytes.Buffer
	cmd.Stderr = &complained
	out, err := cmd.Output()
	if err != nil {
		return done, fmt.Errorf("load worker: %w: %s", err, lastOf(complained.String()))
	}
	return done, json.Unmarshal(out, &done)
}

// workerMain makes this process a worker, when it was started as one.
func workerMain() {
	spec := os.Getenv(workerEnv)
	if spec == "" {
		return
	}
	if err := work(spec, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench worker:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// work is the worker: keep-alive connections, each asking as fast as it is
// answered. On one processor, so that the server has the rest.
func work(text string, out io.Writer) error {
	var spec workSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return err
	}
	runtime.GOMAXPROCS(1)
	var (
		requests atomic.Int64
		received byteCounter
		failed   = make(chan error, spec.Conns)
	)
	for range spec.Conns {
		c := &client{
			target:    target{addr: spec.Addr, file: spec.File, size: spec.Size},
			keepAlive: true, timeout: 30 * time.Second,
			sink: &received,
		}
		go func() {
			for {
				if _, err := c.do(); err != nil {
					failed <- err
					return
				}
				requests.Add(1)
			}
		}()
	}
	// A client that fails ends the work at once.
	let := func(d time.Duration) error {
		select {
		case err := <-failed:
			return err
		case <-time.After(d):
			return nil
		}
	}
	if err := let(spec.Warmup); err != nil {
		return err
	}
	began, requests0, received0 := time.Now(), requests.Load(), received.Load()
	if err := let(spec.Window); err != nil {
		return err
	}
	took := time.Since(began).Seconds()
	// What is in flight is given up: a large file may have long to go, and the
	// worker's end is the end of that too.
	return json.NewEncoder(out).Encode(workDone{
		Requests: float64(requests.Load()-requests0) / took,
		Bytes:    float64(received.Load()-received0) / took,
	})
}

// byteCounter is a writer that only counts.
type byteCounter struct{ atomic.Int64 }

func (c *byteCounter) Write(b []byte) (int, error) {
	c.Add(int64(len(b)))
	return len(b), nil
}
