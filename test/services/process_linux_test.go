package services

import "testing"

func TestParseStatReadsNamesWithBrackets(t *testing.T) {
	t.Parallel()
	got, ok := parseStat([]byte("12 (a) b (c)) T 7 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 9876 0 0\n"))
	want := proc{pid: 12, ppid: 7, state: 'T', started: "9876"}
	if !ok || got != want {
		t.Errorf("parseStat = %+v, %v, want %+v", got, ok, want)
	}
	if _, ok := parseStat([]byte("12 (cut")); ok {
		t.Error("parseStat took a line that was cut")
	}
}
