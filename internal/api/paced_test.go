package api_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"usersync/internal/api"
	"usersync/internal/telemetry"
	"usersync/internal/usersync"
)

// serve serves one route of an edge without a database. The system buffers little of
// its answers.
func serve(t *testing.T, writeWithin time.Duration, handler func(*api.Call) error) *httptest.Server {
	t.Helper()
	e := api.New(api.Options{Metrics: telemetry.NewMetrics(), Log: slog.New(slog.DiscardHandler), WriteWithin: writeWithin})
	e.Mount(api.Dialect{Name: "big", Routes: []api.Route{{Method: http.MethodGet, Path: "/big", Handler: handler}}})
	s := httptest.NewUnstartedServer(e)
	s.Config.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		_ = conn.(*net.TCPConn).SetWriteBuffer(64 << 10)
		return ctx
	}
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// askSlowly asks for /big on a connection of its own with a small window, and reads
// nothing of the answer.
func askSlowly(t *testing.T, s *httptest.Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestSlowReaderIsCut checks that a caller who takes nothing of an answer is cut when
// the write deadline is over, whichever way the answer is written.
func TestSlowReaderIsCut(t *testing.T) {
	t.Parallel()
	big := bytes.Repeat([]byte("x"), 64<<20)
	for name, write := range map[string]func(c *api.Call) error{
		"at once": func(c *api.Call) error { return c.Blob(http.StatusOK, "text/plain", big) },
		"as a stream": func(c *api.Call) error {
			return c.WriteStream("text/plain", func(w io.Writer) error {
				_, err := io.Copy(w, bytes.NewReader(big))
				return err
			})
		},
	} {
		ended := make(chan error, 1)
		s := serve(t, 100*time.Millisecond, func(c *api.Call) error {
			err := write(c)
			ended <- err
			return err
		})
		conn := askSlowly(t, s)
		select {
		case err := <-ended:
			if err == nil {
				t.Errorf("%s: all of it was written", name)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: the handler writes on", name)
		}
		got, err := io.ReadAll(conn)
		if err == nil && len(got) >= len(big) {
			t.Errorf("%s: the whole answer came: %d bytes", name, len(got))
		}
	}
}

// TestSteadyReaderIsNotCut checks that an answer may take far longer than the write
// deadline as long as the caller goes on reading.
func TestSteadyReaderIsNotCut(t *testing.T) {
	t.Parallel()
	const within, size = time.Second, 48 << 20
	s := serve(t, within, func(c *api.Call) error { return c.Blob(http.StatusOK, "text/plain", make([]byte, size)) })
	answer, err := s.Client().Get(s.URL + "/big")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	began := time.Now()
	piece := make([]byte, 256<<10)
	pace := time.NewTicker(2 * within * time.Duration(len(piece)) / size)
	defer pace.Stop()
	for got := 0; got < size; <-pace.C {
		n, err := io.ReadFull(answer.Body, piece)
		if got += n; err != nil {
			t.Fatalf("cut after %d bytes and %v: %v", got, time.Since(began), err)
		}
	}
}

// TestDeadlineOfOneAnswerIsNotThatOfTheNext makes a call on a connection whose last
// answer is older than the write deadline. The first that the server writes then is
// not an answer: it is the line that asks for the body.
func TestDeadlineOfOneAnswerIsNotThatOfTheNext(t *testing.T) {
	t.Parallel()
	const within = 20 * time.Millisecond
	s := serve(t, within, func(c *api.Call) error {
		body, _ := io.ReadAll(c.Request().Body)
		return c.String(http.StatusOK, string(body))
	})
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	answer := make([]byte, 4096)
	for range 3 {
		for _, step := range []struct{ send, want string }{
			{"GET /big HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n"}, {"ok", "ok"},
		} {
			if _, err := io.WriteString(conn, step.send); err != nil {
				t.Fatal(err)
			}
			n, err := conn.Read(answer)
			if err != nil || !strings.HasSuffix(string(answer[:n]), step.want) {
				t.Fatalf("%q %v", answer[:n], err)
			}
		}
		<-time.After(2 * within) // as long as the rule is about
	}
}

// TestSlowReadersHoldLittleMemory has readers who take nothing of pages that would be
// 195 MiB each: what is held for each of them is the text of one answer.
func TestSlowReadersHoldLittleMemory(t *testing.T) {
	const readers, item, heldEach = 24, 390 << 10, 3 << 20
	load := func(_ string, limit int) ([]box, error) {
		out := make([]box, limit)
		for i := range out {
			out[i] = box{fmt.Sprintf("%s_%026d", usersync.PrefixEvent, i), strings.Repeat("x", item)}
		}
		return out, nil
	}
	var writing atomic.Int64
	s := serve(t, time.Minute, func(c *api.Call) error {
		writing.Add(1)
		defer writing.Add(-1)
		return api.AnswerList(c, api.Page{Limit: 500}, load, func(b box) string { return b.ID })
	})
	before := heap()
	conns := make([]net.Conn, readers)
	for i := range conns {
		conns[i] = askSlowly(t, s)
	}
	// All are stuck when memory no longer changes.
	var held uint64
	waitFor(t, func() bool {
		last := held
		now := heap()
		held = now - min(before, now)
		return writing.Load() == readers && held == last
	})
	if held > readers*heldEach {
		t.Errorf("%d readers hold %d MiB", readers, held>>20)
	}
	t.Logf("%d readers hold %d KiB each", readers, held/readers>>10)
	for _, conn := range conns {
		_ = conn.Close()
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestAnswerThatBreaksOffDoesNotLookWhole checks that the connection of an answer is
// cut when its handler fails after the beginning, whichever way it was begun.
func TestAnswerThatBreaksOffDoesNotLookWhole(t *testing.T) {
	t.Parallel()
	fault := errors.New("the disk is full")
	for name, handler := range map[string]func(c *api.Call) error{
		"written by hand": func(c *api.Call) error {
			_, _ = c.Response().Write([]byte(`{"items":[]}`))
			return fault
		},
		"flushed": func(c *api.Call) error {
			_, _ = c.Response().Write([]byte(`{"items":[]}`))
			c.Response().Flush()
			return fault
		},
		"answered": func(c *api.Call) error {
			_ = c.JSON(http.StatusOK, []int{})
			return fault
		},
		"a stream": func(c *api.Call) error {
			return c.WriteStream("text/plain", func(w io.Writer) error {
				_, _ = w.Write(make([]byte, 100<<10))
				return fault
			})
		},
		"CSV": func(c *api.Call) error {
			return c.WriteCSV("x.csv", []string{"x"}, func(write func([]string) error) error {
				_ = write([]string{strings.Repeat("x", 100<<10)})
				return fault
			})
		},
	} {
		s := serve(t, time.Minute, handler)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/big", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := s.Client().Do(r)
		if err == nil {
			_, err = io.ReadAll(answer.Body)
			_ = answer.Body.Close()
		}
		if err == nil {
			t.Errorf("%s: half of an answer looks whole", name)
		}
	}
}

// TestErrorWithinTheHeldBackBeginningIsAnswered checks that a stream that fails before
// its first bytes are out is answered as any error is.
func TestErrorWithinTheHeldBackBeginningIsAnswered(t *testing.T) {
	t.Parallel()
	s := serve(t, time.Minute, func(c *api.Call) error {
		return c.WriteCSV("x.csv", []string{"x"}, func(func([]string) error) error {
			return usersync.Errorf(usersync.CodeNotFound, "Not there")
		})
	})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/big", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil || answer.StatusCode != http.StatusNotFound || !strings.Contains(string(body), "Not there") || answer.Header.Get("Content-Disposition") != "" {
		t.Errorf("%d %v %s", answer.StatusCode, err, body)
	}
}
