package process

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sharetray/agentcore/link"
	"sharetray/agentcore/share"
)

// BenchmarkServe is the time from telling a warm standby which share to be
// until it has answered, as JSON over the link and as the first request.
func BenchmarkServe(b *testing.B) {
	app := upstream(b, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })
	for _, s := range []share.Share{
		{Kind: share.Web, Listing: true, Target: files(b, map[string]string{"a.txt": "hello"})},
		{Kind: share.Proxy, Target: app},
	} {
		b.Run(string(s.Kind), func(b *testing.B) {
			var oks, firsts []time.Duration
			for b.Loop() {
				b.StopTimer()
				c := startChild(b)
				c.hello()
				settle(b, c.proc.Cmd.Process.Pid)
				sock := listen(b)
				c.addr = sock.Addr().String()
				b.StartTimer()
				start := time.Now()
				done := make(chan time.Duration)
				go func() { // waits in the kernel's queue until it is accepted
					conn, err := net.Dial("tcp", c.addr)
					if err != nil {
						b.Error(err)
					}
					defer conn.Close()
					fmt.Fprint(conn, "GET /a.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
					_, _ = bufio.NewReader(conn).ReadString('\n')
					done <- time.Since(start)
				}()
				c.mustAsk(c.message(s), sock)
				oks = append(oks, time.Since(start))
				firsts = append(firsts, <-done)
				b.StopTimer()
				_ = c.proc.Cmd.Process.Kill()
				c.exit()
				b.StartTimer()
			}
			b.ReportMetric(median(oks).Seconds()*1e3, "ms-ok")
			b.ReportMetric(median(firsts).Seconds()*1e3, "ms-answer")
			b.ReportMetric(slices.Max(firsts).Seconds()*1e3, "ms-worst")
		})
	}
}

// BenchmarkMemory is what one more idle share costs.
func BenchmarkMemory(b *testing.B) {
	app := upstream(b, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })
	dir := files(b, map[string]string{"a.txt": "hello"})
	for _, s := range []share.Share{{Kind: share.Web, Target: dir, Listing: true}, {Kind: share.Proxy, Target: app}} {
		b.Run(string(s.Kind), func(b *testing.B) {
			for b.Loop() {
				c := startChild(b)
				c.hello()
				pid := c.proc.Cmd.Process.Pid
				settle(b, pid)
				b.ReportMetric(rssAnon(b, pid), "MB-standby")
				c.serveOn(s, listen(b))
				for range 3 {
					c.get("/a.txt", link.ProbeHeader+": "+c.probe)
					c.get("/a.txt")
					c.ping()
				}
				settle(b, pid)
				b.ReportMetric(rssAnon(b, pid), "MB-serving")
			}
		})
	}
}

// BenchmarkFiles compares with a plain `caddy file-server` of the same module.
func BenchmarkFiles(b *testing.B) {
	dir := files(b, map[string]string{"small.bin": strings.Repeat("x", 4<<10), "large.bin": strings.Repeat("x", 64<<20)})
	ours := serve(b, share.Share{Kind: share.Web, Target: dir})
	caddy, pid := plainCaddy(b, dir)
	addrs := map[string]string{"sharetray": ours.addr, "caddy": caddy}
	pids := map[string]int{"sharetray": ours.proc.Cmd.Process.Pid, "caddy": pid}
	for _, file := range []string{"small.bin", "large.bin"} {
		for _, name := range []string{"caddy", "sharetray", "caddy", "sharetray"} {
			b.Run(file+"/"+name, func(b *testing.B) {
				before := cpu(b, pids[name])
				load(b, addrs[name], file)
				b.ReportMetric(float64((cpu(b, pids[name])-before).Microseconds())/float64(b.N), "us-cpu")
			})
		}
	}
}

// load asks b.N times, over 8 connections that are kept alive.
func load(b *testing.B, addr, file string) {
	const clients = 8
	request := []byte("GET /" + file + " HTTP/1.1\r\nHost: localhost\r\n\r\n")
	jobs := make(chan struct{})
	var wg sync.WaitGroup
	var size int64
	for i := range clients {
		wg.Go(func() {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				b.Error(err)
				return
			}
			defer conn.Close()
			r := bufio.NewReaderSize(conn, 64<<10)
			for range jobs {
				if _, err := conn.Write(request); err != nil {
					b.Error(err)
					return
				}
				resp, err := http.ReadResponse(r, nil)
				if err != nil || resp.StatusCode != 200 {
					b.Error(err)
					return
				}
				n, _ := io.Copy(io.Discard, resp.Body)
				if i == 0 {
					size = n
				}
			}
		})
	}
	b.ResetTimer()
	for range b.N {
		jobs <- struct{}{}
	}
	close(jobs)
	wg.Wait()
	b.StopTimer()
	b.SetBytes(size)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}

func plainCaddy(b *testing.B, dir string) (addr string, pid int) {
	b.Helper()
	exe := filepath.Join(os.TempDir(), "sharetray-bench-caddy")
	if out, err := exec.Command("go", "build", "-o", exe, "sharetray/agentcore/bench/caddy").CombinedOutput(); err != nil {
		b.Skipf("can't build caddy: %v\n%s", err, out)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	addr = ln.Addr().String()
	ln.Close()
	cmd := exec.Command(exe, "file-server", "--listen", addr, "--root", dir)
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+b.TempDir(), "XDG_CONFIG_HOME="+b.TempDir())
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	eventually(b, "caddy answers", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return addr, cmd.Process.Pid
}

// cpu is the processor time that a process has used, by all its threads.
func cpu(tb testing.TB, pid int) (sum time.Duration) {
	tb.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(threads) == 0 {
		tb.Skip("no schedstat on this system")
	}
	for _, t := range threads {
		b, err := os.ReadFile(t)
		if err != nil {
			continue // that thread has ended
		}
		ns, _ := strconv.ParseInt(strings.Fields(string(b))[0], 10, 64)
		sum += time.Duration(ns)
	}
	return sum
}

// settle waits until a process has stopped to use the processor.
func settle(tb testing.TB, pid int) {
	tb.Helper()
	last := time.Duration(-1)
	for quiet := 0; quiet < 5; time.Sleep(50 * time.Millisecond) {
		if now := cpu(tb, pid); now == last {
			quiet++
		} else {
			last, quiet = now, 0
		}
	}
}

func rssAnon(tb testing.TB, pid int) float64 {
	tb.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		tb.Skip(err)
	}
	_, rest, _ := strings.Cut(string(b), "RssAnon:")
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		tb.Fatal(err)
	}
	return float64(kb) / 1024
}

func median(ds []time.Duration) time.Duration {
	slices.Sort(ds)
	return ds[len(ds)/2]
}
