//go:build unix

package record

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// What the test binary does, by its first argument, in the folder that is the
// second one.
const (
	writesForEver = "write-records" // until it is killed
	writesLittle  = "write-little"  // on a disk that takes no file longer than the third argument says
)

func TestMain(m *testing.M) {
	if len(os.Args) >= 3 {
		switch os.Args[1] {
		case writesForEver:
			v := versions()
			for i := 0; ; i++ {
				if err := Write(os.Args[2], v[i%2]); err != nil {
					fmt.Println(err)
					os.Exit(1)
				}
			}
		case writesLittle:
			n, _ := strconv.ParseUint(os.Args[3], 10, 64)
			signal.Ignore(syscall.SIGXFSZ)
			if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
				fmt.Println("no limit:", err)
				os.Exit(2)
			}
			if err := Write(os.Args[2], versions()[1]); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

// TestKilledInMidWrite: however often and whenever the writer is killed, and
// whoever reads meanwhile, a record is whole.
func TestKilledInMidWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := Write(dir, versions()[0]); err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{} // lengths
	for i := range 30 {
		cmd := exec.Command(exe, writesForEver, dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		changed := time.Now()
		for before := age(t, dir); age(t, dir).Equal(before); {
			mustBeWhole(t, dir)
			if time.Since(changed) > 20*time.Second {
				t.Fatal("nothing is written")
			}
		}
		for range 3 * i { // each at another point of its work
			mustBeWhole(t, dir)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		mustBeWhole(t, dir)
		list, _ := List(dir)
		seen[len(list[0].Record.Version)] = true
	}
	if len(seen) != 2 {
		t.Logf("only one of the two was ever the last: %v", seen)
	}
	cleanUp(t, dir)
}

func age(t *testing.T, dir string) time.Time {
	t.Helper()
	info, err := os.Stat(Path(dir, "/run/l/one"))
	if err != nil {
		t.Fatal(err)
	}
	return info.ModTime()
}

// TestFailingDisk: one that takes no more than some bytes says so, and what was
// there is there still, wholly.
func TestFailingDisk(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, room := range []int{0, 1, 100, 4096, 20000} {
		t.Run(fmt.Sprint(room), func(t *testing.T) {
			dir := t.TempDir()
			before := versions()[0]
			if err := Write(dir, before); err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command(exe, writesLittle, dir, strconv.Itoa(room)).CombinedOutput()
			if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 1 {
				t.Fatalf("%v: %s", err, out)
			}
			mustBeWhole(t, dir)
			if list, _ := List(dir); list[0].Record != before {
				t.Error("it is another one")
			}
			cleanUp(t, dir)
		})
	}
}
