//go:build linux

package chaos

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"usersync/internal/erasure"
	"usersync/internal/request"
	"usersync/test/services"
	"usersync/test/system"
)

// The disk of the embedded service fills up under load: calls are refused for
// now, nothing accepted is lost, and when there is room again the service goes on
// by itself.
func TestFullDiskLosesNothing(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t)
	addr := system.FreeAddr(t)
	env := []string{"DATA_DIR=" + filepath.Join(disk, "data"), "ADDR=" + addr}
	program := system.NewProgram(t, "usersync serve", addr, env, "usersync", "serve")
	program.Start(t)
	// Not the demo's organization: its platforms live in the process that is killed.
	n := &tenant{Tenant: system.NewTenant(t, system.NewAccount(t, env, "embedded"), env, "http://"+addr),
		name: "embedded", again: &atomic.Int64{}, accepted: map[string]acceptance{}, known: map[string]*known{}}
	n.TopUp(t, 1_000_000)
	n.Subscribe(t)
	a := &audit{world: &world{platform: newPlatform(t)}}
	a.platform.connect(t, n)

	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	stop := run([]*tenant{n}, ticker.C)
	n.canary(t, 0)
	n.goesOn(t)
	refusedBefore := n.again.Load()
	filler := filepath.Join(disk, "filler")
	system.Must(t, fill(filler))
	system.Await(t, time.Minute, "calls are refused because the disk is full", func() bool {
		_ = fill(filler) // what the service gave back
		return n.again.Load() > refusedBefore+1
	}, nil)
	system.Must(t, os.Remove(filler))
	freed := time.Now()
	worked := n.canary(t, 1)
	n.goesOn(t)
	stop()
	t.Logf("%d calls were refused while the disk was full; with room again a new request took %s", n.again.Load()-refusedBefore, worked.Sub(freed).Round(time.Millisecond))

	// Once more, from what is on the disk.
	program.Kill()
	program.Start(t)
	system.Await(t, drainWithin, "all work is done", func() bool { return n.finished(t) }, nil)
	a.acceptances(t, n)
	a.users(t, n)
	n.AuditProof(t, &a.Faults)
	n.faults.Report(t)
	n.Faults.Report(t)
	a.Report(t)
	t.Logf("%d requests, of which %d charged and %d of users erased since", a.requests, a.charged, a.erased)
	program.Stop(t)
}

// goesOn waits until a hundred more requests are accepted.
func (n *tenant) goesOn(t *testing.T) {
	t.Helper()
	count := func() int {
		n.mu.Lock()
		defer n.mu.Unlock()
		return len(n.accepted)
	}
	before := count()
	system.Await(t, time.Minute, "a hundred more requests are accepted", func() bool { return count() >= before+100 }, nil)
}

// finished reports whether all requests and erasures have ended and all webhooks
// have arrived, as the API shows it.
func (n *tenant) finished(t *testing.T) bool {
	t.Helper()
	for _, r := range n.Reports(t) {
		open := slices.ContainsFunc(r.Webhooks, func(w request.WebhookView) bool { return w.Status.Open() })
		if open || !r.Status.Final() {
			return false
		}
	}
	for _, k := range n.known {
		if k.erasure == "" {
			continue
		}
		var e erasure.Erasure
		if n.Call(t, http.MethodGet, "/v1/erasures/"+k.erasure, nil, &e); e.FinishedAt.IsZero() {
			return false
		}
	}
	return true
}

// diskSize is enough for a new database and a load of seconds.
const diskSize = "48m"

// smallDisk mounts a file system of its own in memory, in a mount namespace of
// its own where this process may not mount, and returns where it is. Where
// neither is allowed the test is skipped.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	options := "size=" + diskSize + ",mode=0700"
	err := exec.Command("mount", "-t", "tmpfs", "-o", options, "tmpfs", dir).Run()
	if err == nil {
		t.Cleanup(func() {
			if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
				t.Errorf("unmount %s: %v", dir, err)
			}
		})
		return dir
	}
	// The namespace lives as long as its first process; others reach the disk
	// through that one's root.
	script := `mount -t tmpfs -o "$0" tmpfs "$1" && : > "$1/mounted" && exec sleep 3600`
	cmd := exec.Command("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, options, dir)
	holder, err := services.StartProcess("the holder of a disk", cmd, "")
	if err != nil {
		t.Skipf("no disk can be made to fill up: %v", err)
	}
	t.Cleanup(func() { _ = holder.Kill() })
	inside := fmt.Sprintf("/proc/%d/root%s", holder.PID(), dir)
	err = services.Poll(t.Context(), 10*time.Millisecond, func() (bool, error) {
		_, err := os.Stat(inside + "/mounted")
		return err == nil || holder.Ended(), nil
	})
	system.Must(t, err)
	if holder.Ended() {
		t.Skip("this user may neither mount nor make a namespace to mount in: no disk can be made to fill up")
	}
	return inside
}

// fill writes to a file until the disk is full.
func fill(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	for block := make([]byte, 64<<10); len(block) > 0; {
		_, err := f.Write(block)
		if errors.Is(err, syscall.ENOSPC) {
			block = block[:len(block)/2]
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}
