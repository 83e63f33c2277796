//go:build unix

package chaos

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/rs/zerolog"

	"usersync/test/system"
)

// detour is the way of all programs to one server.
type detour struct{ *toxiproxy.Proxy }

// newDetour starts a proxy to addr. Answers to commits can be lost on it, see
// losing.
func newDetour(t *testing.T, name, addr string) *detour {
	t.Helper()
	d := &detour{toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), name, "127.0.0.1:0", addr)}
	if name == "postgres" {
		// From the first byte on: what a message is can only be told from there.
		d.add(t, `{"type":"lost_commit","stream":"downstream"}`)
	}
	system.Must(t, d.Start())
	t.Cleanup(d.Stop)
	return d
}

func (d *detour) add(t *testing.T, toxic string) {
	t.Helper()
	_, err := d.Toxics.AddToxicJson(strings.NewReader(toxic))
	system.Must(t, err)
}

// cut ends all connections; new ones are taken at once.
func (d *detour) cut(t *testing.T) {
	t.Helper()
	d.Stop()
	system.Must(t, d.Start())
}

// slow delays what goes either way, until the returned function is called.
func (d *detour) slow(t *testing.T, by time.Duration) (end func()) {
	t.Helper()
	for _, way := range []string{"upstream", "downstream"} {
		d.add(t, fmt.Sprintf(`{"name":%q,"type":"latency","stream":%q,"attributes":{"latency":%d,"jitter":%d}}`,
			"slow "+way, way, by.Milliseconds(), by.Milliseconds()/2))
	}
	return func() {
		for _, way := range []string{"upstream", "downstream"} {
			system.Must(t, d.Toxics.RemoveToxic(context.Background(), "slow "+way))
		}
	}
}

// losing has the next answers to commits be lost, together with their
// connections: the server has committed, and whoever asked does not know.
var losing struct {
	next  atomic.Int64 // how many
	count atomic.Int64 // how many were lost so far
}

func init() { toxics.Register("lost_commit", new(lostCommit)) }

// lostCommit is a toxic for what a PostgreSQL server sends.
type lostCommit struct{}

// NewState returns what is kept for each connection.
func (*lostCommit) NewState() any { return &answers{} }

// Pipe passes everything on until an answer is to be lost.
func (*lostCommit) Pipe(stub *toxics.ToxicStub) {
	state := stub.State.(*answers)
	for {
		select {
		case <-stub.Interrupt:
			return
		case chunk := <-stub.Input:
			if chunk == nil {
				stub.Close()
				return
			}
			if state.committed(chunk.Data) && lose() {
				stub.Close()
				return
			}
			stub.Output <- chunk
		}
	}
}

// lose reports whether this answer is to be lost, and counts it.
func lose() bool {
	for {
		n := losing.next.Load()
		if n == 0 {
			return false
		}
		if losing.next.CompareAndSwap(n, n-1) {
			losing.count.Add(1)
			return true
		}
	}
}

// answers finds the answers to COMMIT among the messages of a PostgreSQL server:
// each is a byte that names its type and four of its length, which count
// themselves; CommandComplete is C and carries the command's name. See "Message
// Formats" in the PostgreSQL manual.
type answers struct {
	head []byte // of the message under way
	left int    // bytes of its body that are still to come
	body []byte // of a CommandComplete
}

const headSize = 5

// committed takes the next bytes and reports whether an answer to COMMIT ends in
// them.
func (a *answers) committed(data []byte) (found bool) {
	for len(data) > 0 {
		if len(a.head) < headSize {
			a.head, data = append(a.head, data[0]), data[1:]
			if len(a.head) == headSize {
				a.left = int(binary.BigEndian.Uint32(a.head[1:])) - 4
			}
		}
		n := min(a.left, len(data))
		if len(a.head) == headSize && a.head[0] == 'C' {
			a.body = append(a.body, data[:n]...)
		}
		if len(a.head) < headSize {
			continue
		}
		data = data[n:]
		if a.left -= n; a.left == 0 {
			found = found || string(a.body) == "COMMIT\x00"
			a.head, a.body = a.head[:0], a.body[:0]
		}
	}
	return found
}

func TestAnswerToCommitIsFoundHoweverItIsCut(t *testing.T) {
	t.Parallel()
	message := func(kind byte, body string) string {
		return string(kind) + string(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4))) + body
	}
	commit := message('C', "COMMIT\x00") + message('Z', "I")
	for _, c := range []struct {
		name, stream string
		want         bool
	}{
		{"a commit", commit, true},
		{"a commit after others", message('R', "\x00\x00\x00\x00") + message('n', "") + message('D', "COMMIT\x00") + commit, true},
		{"a rollback", message('C', "ROLLBACK\x00") + message('Z', "I"), false},
		{"a row that says it", message('D', commit) + message('C', "SELECT 1\x00"), false},
		{"a notice of no length", message('N', "") + message('C', "INSERT 0 1\x00"), false},
	} {
		for size := 1; size <= len(c.stream); size++ {
			a, got := &answers{}, false
			for rest := c.stream; rest != ""; {
				n := min(size, len(rest))
				got = a.committed([]byte(rest[:n])) || got
				rest = rest[n:]
			}
			if got != c.want {
				t.Errorf("%s in pieces of %d: found %v, want %v", c.name, size, got, c.want)
			}
		}
	}
}
