//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"usersync/test/services"
	"usersync/test/system"
)

// The load generator sends the calls of system.Client, and reads its answers, but
// speaks HTTP/1.1 by hand. net/http's client costs more CPU per call than a bare
// Echo handler, and on a small machine that CPU is taken from what is being
// measured. One client is one kept-alive connection: it writes a request made
// beforehand, in which only digits change, in one piece, and reads one answer,
// of which it decodes no more than the ids.

// answerWithin is how long an answer may take before the measurement fails.
const answerWithin = 30 * time.Second

// The digits that tell one user from the next.
const (
	userDigits    = "UUUUUUUUU"
	companyDigits = "CCCCCCCCC"
)

// template is a user with letters in the places of digits.
var template = system.User{
	Email: "u" + userDigits + "@c" + companyDigits + ".example", Country: "US", FirstName: "John", LastName: "Doe",
	Name: "John Doe", JobTitle: "Software Engineer", InviteLink: "https://app.example.com/join/" + userDigits,
}

// requestTemplate is the call for one user, or, with a batch of several, for
// that many at once.
func requestTemplate(addr, key string, batch int) []byte {
	call := system.SyncCall(slices.Repeat([]system.User{template}, max(batch, 1))...)
	return fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\nX-API-Key: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		call.Method, call.Path, addr, key, len(call.Body), call.Body)
}

// client is one caller.
type client struct {
	conn      net.Conn
	in        *bufio.Reader
	request   []byte
	batch     int   // users in a request
	users     []int // where the digits of the users begin in request
	companies []int
	answer    system.Answer // the last one
}

func dialClient(ctx context.Context, addr, key string, batch int) (*client, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connect a client: %w", err)
	}
	request := requestTemplate(addr, key, batch)
	return &client{
		conn: conn, in: bufio.NewReaderSize(conn, 4<<10), request: request, batch: max(batch, 1),
		users: offsets(request, userDigits), companies: offsets(request, companyDigits),
	}, nil
}

func offsets(text []byte, part string) []int {
	var found []int
	for from := 0; ; {
		i := bytes.Index(text[from:], []byte(part))
		if i < 0 {
			return found
		}
		found = append(found, from+i)
		from += i + len(part)
	}
}

// writeDigits fills the places with n in decimal, leading zeros included.
func writeDigits(text []byte, places []int, width int, n int64) {
	for i := width - 1; i >= 0; i-- {
		for _, at := range places {
			text[at+i] = byte('0' + n%10)
		}
		n /= 10
	}
}

// post sends the user with the number n, or a batch from that number on, and
// returns the status and, when it is a 202, the ids of the requests.
func (c *client) post(n int64) (status int, ids []string, err error) {
	c.number(n)
	status, err = c.exchange(c.request)
	if err != nil || status != 202 {
		return status, nil, err
	}
	ids = requestIDs(c.answer.Body)
	if len(ids) == 0 {
		return status, nil, fmt.Errorf("202 without a requestId: %s", c.answer.Body)
	}
	return status, ids, nil
}

// number makes the request one for the users from n on.
func (c *client) number(n int64) {
	for i := range c.batch {
		writeDigits(c.request, share(c.users, i, c.batch), len(userDigits), n+int64(i))
		writeDigits(c.request, share(c.companies, i, c.batch), len(companyDigits), n+int64(i))
	}
}

// share returns the i-th of n equal shares.
func share(all []int, i, n int) []int { return all[len(all)*i/n : len(all)*(i+1)/n] }

// exchange sends a request and reads its answer into c.answer.
func (c *client) exchange(request []byte) (status int, err error) {
	if err := c.conn.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return 0, fmt.Errorf("set the deadline of a call: %w", err)
	}
	if _, err := c.conn.Write(request); err != nil {
		return 0, fmt.Errorf("send a call: %w", err)
	}
	if c.answer, err = readAnswer(c.in, c.answer.Body); err != nil {
		return 0, fmt.Errorf("read the answer to a call: %w", err)
	}
	return c.answer.Status, nil
}

var errAnswer = errors.New("an answer that this client cannot read")

// readAnswer reads one HTTP/1.1 answer with a Content-Length or in chunks. The
// body is kept in buffer, which grows as needed.
func readAnswer(in *bufio.Reader, buffer []byte) (a system.Answer, err error) {
	a.Body = buffer[:0]
	line, err := in.ReadSlice('\n')
	if err != nil {
		return a, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return a, fmt.Errorf("%w: it begins with %q", errAnswer, line)
	}
	a.Status, err = strconv.Atoi(string(line[9:12]))
	if err != nil {
		return a, fmt.Errorf("%w: it begins with %q", errAnswer, line)
	}
	length, retryAfter, err := readHeader(in)
	a.RetryAfter = retryAfter
	switch {
	case err != nil:
		return a, err
	case length == chunked:
		a.Body, err = readChunks(in, a.Body)
		return a, err
	}
	a.Body = slices.Grow(a.Body, length)[:length]
	_, err = io.ReadFull(in, a.Body)
	return a, err
}

// chunked is the length of a body that comes in chunks.
const chunked = -2

// longest is the longest body, and chunk, that is read.
const longest = 16 << 20

// readHeader reads up to the empty line and returns the Content-Length, or
// chunked, and the Retry-After.
func readHeader(in *bufio.Reader) (length int, retryAfter time.Duration, err error) {
	length = -1
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return 0, 0, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Transfer-Encoding")) && bytes.EqualFold(value, []byte("chunked")):
			length = chunked
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil || length < 0 {
				return 0, 0, fmt.Errorf("%w: Content-Length is %q", errAnswer, value)
			}
		case bytes.EqualFold(name, []byte("Retry-After")):
			seconds, err := strconv.ParseUint(string(value), 10, 16)
			if err != nil {
				return 0, 0, fmt.Errorf("%w: Retry-After is %q", errAnswer, value)
			}
			retryAfter = time.Duration(seconds) * time.Second
		}
	}
	if length == -1 || length > longest {
		return 0, 0, fmt.Errorf("%w: Content-Length is missing or too large", errAnswer)
	}
	return length, retryAfter, nil
}

// readChunks reads a body in chunks, without trailers, behind what is in body.
func readChunks(in *bufio.Reader, body []byte) ([]byte, error) {
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return body, err
		}
		size, err := strconv.ParseUint(string(bytes.TrimRight(line, "\r\n")), 16, 32)
		if err != nil || size > longest {
			return body, fmt.Errorf("%w: a chunk begins with %q", errAnswer, line)
		}
		at := len(body)
		body = slices.Grow(body, int(size))[:at+int(size)]
		if _, err := io.ReadFull(in, body[at:]); err != nil {
			return body, err
		}
		if _, err := in.Discard(len("\r\n")); err != nil {
			return body, err
		}
		if size == 0 {
			return body, nil
		}
	}
}

// requestID returns the first requestId in a JSON text, "" when there is none.
func requestID(body []byte) string {
	_, rest, found := bytes.Cut(body, []byte(`"requestId":"`))
	id, _, closed := bytes.Cut(rest, []byte(`"`))
	if !found || !closed {
		return ""
	}
	return string(id)
}

// requestIDs returns all of them.
func requestIDs(body []byte) (ids []string) {
	for {
		id := requestID(body)
		if id == "" {
			return ids
		}
		ids = append(ids, id)
		_, body, _ = bytes.Cut(body, []byte(id))
	}
}

// load is what callers send.
type load struct {
	addr    string
	key     string
	clients int
	// batch is how many users a call sends, by the form for many when above 1.
	batch int
	// next is the number of the next user; every user is sent once.
	next *atomic.Int64
	// due says when the i-th request is to go out, counted from the start; nil
	// sends it as soon as a client is free (a closed loop).
	due func(i int64) time.Duration
	// The load ends after this time or this many requests.
	length time.Duration
	most   int64
}

// users is the most users that the load can send. No service takes fullSpeedMost a
// second on the machines that this runs on.
func (l *load) users() int64 {
	perSecond := l.length.Seconds() * fullSpeedMost
	if l.due != nil { // due rises evenly
		perSecond = min(perSecond, l.length.Seconds()/l.due(1).Seconds()+1)
	}
	if l.most < int64(perSecond)/int64(l.batch) {
		return l.most * int64(l.batch)
	}
	return int64(perSecond)
}

// evenly spaces requests so that there are perSecond of them each second.
func evenly(perSecond float64) func(int64) time.Duration {
	return func(i int64) time.Duration { return time.Duration(float64(i) / perSecond * float64(time.Second)) }
}

// sample is one accepted call.
type sample struct {
	ids      []string      // of its requests
	latency  time.Duration // from when it was due
	answered time.Time
}

// outcome is what became of a load.
type outcome struct {
	samples []sample    // a call each
	batch   int         // users a call
	refused map[int]int // by HTTP status
	started time.Time
	elapsed time.Duration // to the last answer
}

// users is how many requests were accepted: one for each user.
func (o *outcome) users() int { return len(o.samples) * o.batch }

// perSecond is the rate of accepted requests.
func (o *outcome) perSecond() float64 { return float64(o.users()) / o.elapsed.Seconds() }

func (o *outcome) latencies() []time.Duration {
	all := make([]time.Duration, len(o.samples))
	for i, s := range o.samples {
		all[i] = s.latency
	}
	slices.Sort(all)
	return all
}

// run sends the load. It fails when a connection does, or when nothing was
// accepted; other answers than 202 are counted.
func (l *load) run(ctx context.Context) (*outcome, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	all := &outcome{batch: max(l.batch, 1), refused: map[int]int{}}
	callers := make([]*client, l.clients)
	for i := range callers {
		c, err := dialClient(ctx, l.addr, l.key, l.batch)
		if err != nil {
			return all, err
		}
		defer func() { _ = c.conn.Close() }()
		callers[i] = c
	}
	all.started = time.Now()
	var taken atomic.Int64
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for _, c := range callers {
		wg.Go(func() {
			one, err := l.call(ctx, c, all.started, &taken)
			mu.Lock()
			defer mu.Unlock()
			all.add(one)
			if err != nil {
				failed = errors.Join(failed, err)
				cancel()
			}
		})
	}
	wg.Wait()
	if failed == nil {
		failed = ctx.Err()
	}
	if failed == nil && len(all.samples) == 0 {
		failed = fmt.Errorf("nothing was accepted; refused by status: %v", all.refused)
	}
	return all, failed
}

func (o *outcome) add(one *outcome) {
	o.samples = append(o.samples, one.samples...)
	o.elapsed = max(o.elapsed, one.elapsed)
	for status, n := range one.refused {
		o.refused[status] += n
	}
}

// call is the work of one client. A refusal that says when to come back is heeded,
// as clients in earnest do.
func (l *load) call(ctx context.Context, c *client, started time.Time, taken *atomic.Int64) (*outcome, error) {
	out := &outcome{refused: map[int]int{}}
	for ctx.Err() == nil {
		i := taken.Add(1) - 1
		begin := time.Now()
		if l.due != nil {
			begin = started.Add(l.due(i))
		}
		if i >= l.most || begin.Sub(started) >= l.length {
			return out, nil
		}
		time.Sleep(time.Until(begin))
		status, ids, err := c.post(l.next.Add(int64(c.batch)) - int64(c.batch) + 1)
		if err != nil {
			return out, err
		}
		now := time.Now()
		out.elapsed = now.Sub(started)
		if status != 202 {
			out.refused[status]++
			_ = services.Sleep(ctx, min(c.answer.RetryAfter, time.Until(started.Add(l.length)))) // the loop sees that ctx ended
			continue
		}
		out.samples = append(out.samples, sample{ids, now.Sub(begin), now})
	}
	return out, nil
}
