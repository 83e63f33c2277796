package worker

import (
	"testing"
	"time"
)

func TestALaneHasAnEighthOfThePlaces(t *testing.T) {
	t.Parallel()
	var s places
	for i, want := range []bool{true, true, false} {
		if got := s.take("slow", 16); got != want {
			t.Errorf("place %d of a lane: %v, want %v", i+1, got, want)
		}
	}
	for i := range 14 {
		if !s.take(string(rune('a'+i)), 16) {
			t.Fatalf("no place for lane %d of 14 others", i+1)
		}
	}
	if s.take("late", 16) {
		t.Error("there are more places than slots")
	}
	s.free("slow")
	if !s.take("late", 16) {
		t.Error("a place that was given back is not to be had")
	}
	if s.take("slow", 16) {
		t.Error("there are more places than slots")
	}
}

func TestClosingWaitsForTheTasksUnderWay(t *testing.T) {
	t.Parallel()
	var s places
	if !s.take("a", 8) {
		t.Fatal("no place")
	}
	closed := make(chan struct{})
	go func() {
		s.close()
		close(closed)
	}()
	for s.take("b", 8) { // until it is closed
		s.free("b")
	}
	select {
	case <-closed:
		t.Fatal("closed while a task is under way")
	default:
	}
	s.free("a")
	select {
	case <-closed:
	case <-time.After(time.Minute):
		t.Fatal("not closed though all places are free")
	}
}
