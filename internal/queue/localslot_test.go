package queue

import (
	"testing"
	"time"

	"usersync/internal/usersync"
)

func under(key string) usersync.Task {
	return usersync.Task{ID: usersync.NewID(usersync.PrefixTask), Organization: "org", FairnessKey: key}
}

func TestAFairnessKeyHasAnEighthOfTheLocalSlots(t *testing.T) {
	t.Parallel()
	s := NewLocalSlots(16)
	slow, r := s.Reserve(), s.Reserve()
	for i, want := range []bool{true, true, false} {
		if got := slow.Take(under("slow")); got != want {
			t.Errorf("slot %d of a key: %v, want %v", i+1, got, want)
		}
	}
	for i := range 14 {
		if !r.Take(under(string(rune('a' + i)))) {
			t.Fatalf("no slot for key %d of 14 others", i+1)
		}
	}
	if r.Take(under("late")) {
		t.Error("more slots are taken than there are")
	}
	s.Free("org", "slow")
	if !r.Take(under("late")) {
		t.Error("a slot that was given back cannot be taken")
	}
	if slow.Take(under("slow")) {
		t.Error("more slots are taken than there are")
	}
}

func TestAReservationFreesWhatNoTaskUses(t *testing.T) {
	t.Parallel()
	s := NewLocalSlots(2)
	used, unused := under("a"), under("b")
	r := s.Reserve()
	if !r.Take(used) || !r.Take(unused) {
		t.Fatal("no slots")
	}
	r.Use(used.ID)
	r.Release()
	r.Release() // nothing is freed twice
	again := s.Reserve()
	if again.Take(under("a")) || !again.Take(under("b")) {
		t.Error("the slot in use was freed, or the unused one was not")
	}
}

func TestAWorkerWithoutLocalSlotsReservesNone(t *testing.T) {
	t.Parallel()
	var s *LocalSlots
	r := s.Reserve()
	if r.Take(under("a")) {
		t.Error("a slot of none was taken")
	}
	r.Release()
	s.Close()
}

func TestClosingWaitsForTheLocalTasksUnderWay(t *testing.T) {
	t.Parallel()
	s := NewLocalSlots(8)
	r := s.Reserve()
	if !r.Take(under("a")) {
		t.Fatal("no slot")
	}
	closed := make(chan struct{})
	go func() {
		s.Close()
		close(closed)
	}()
	for probe := s.Reserve(); probe.Take(under("b")); { // until it is closed
		probe.Release()
	}
	select {
	case <-closed:
		t.Fatal("closed while a task is under way")
	default:
	}
	r.Release()
	select {
	case <-closed:
	case <-time.After(time.Minute):
		t.Fatal("not closed though all slots are free")
	}
}
