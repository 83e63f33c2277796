package services

import (
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

func TestParseStatReadsNamesWithBrackets(t *testing.T) {
	t.Parallel()
	got, ok := parseStat([]byte("12 (a) b (c)) T 7 1 1 0 -1 0 0 0 0 0 150 50 25 5 20 0 1 0 9876 0 0\n"))
	want := proc{pid: 12, ppid: 7, state: 'T', started: "9876", cpu: 2300 * time.Millisecond}
	if !ok || got != want {
		t.Errorf("parseStat = %+v, %v, want %+v", got, ok, want)
	}
	for _, broken := range []string{
		"", "12 (cut", "4711 a S 42", "4711 (a) S 42 1", "4711 (a) S x 1 1 0 -1 1 1 0 0 0 1 1 1 1 20 0 1 0 1",
		"4711 (a) S 1 1 1 0 -1 1 1 0 0 0 1 x 1 1 20 0 1 0 1",
	} {
		if p, ok := parseStat([]byte(broken)); ok {
			t.Errorf("%q was read as %+v", broken, p)
		}
	}
}

func TestParseSizesReadsKibibytes(t *testing.T) {
	t.Parallel()
	got := ParseSizes("Name:\tapi kB\nVmHWM:\t    2048 kB\nRssAnon:\t    1024 kB\nThreads:\t9\n")
	if len(got) != 2 || got["VmHWM"] != 2<<20 || got["RssAnon"] != 1<<20 {
		t.Errorf("got %v", got)
	}
}

func TestDescendantsAreAllBeneathAProcess(t *testing.T) {
	t.Parallel()
	table := []proc{{pid: 1}, {pid: 10, ppid: 1}, {pid: 11, ppid: 10}, {pid: 12, ppid: 11}, {pid: 20, ppid: 1}}
	var got []int
	for _, p := range descendants(table, 10) {
		got = append(got, p.pid)
	}
	if slices.Sort(got); !slices.Equal(got, []int{11, 12}) {
		t.Errorf("got %v", got)
	}
}

func TestUsageOfCountsAProcessAndItsChildren(t *testing.T) {
	t.Parallel()
	child, err := StartProcess("sleep", exec.Command("sleep", "60"), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Kill() })
	u, err := UsageOf(child.PID())
	if err != nil {
		t.Fatal(err)
	}
	if u.RSS <= 0 || u.Peak < u.RSS/2 || u.CPU < 0 {
		t.Errorf("got %+v", u)
	}
	all, err := UsageOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if all.RSS < u.RSS || all.Peak < 1<<20 {
		t.Errorf("got %+v with a child that uses %+v", all, u)
	}
	if _, err := UsageOf(1 << 30); err == nil {
		t.Error("a process that does not run has a usage")
	}
	if parent, err := ParentOf(os.Getpid()); err != nil || parent != os.Getppid() {
		t.Errorf("parent %d, %v, want %d", parent, err, os.Getppid())
	}
}
