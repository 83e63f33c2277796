package commands

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

const (
	// answerWithin bounds the time from the end of a call to the beginning of its answer. It
	// is more than a call may ask the service to wait.
	answerWithin = 2 * time.Minute
	// patience is how long a call is held back altogether that the service asks to make later.
	patience = 2 * time.Minute
	// maxAnswer bounds an answer that is read at once, in bytes.
	maxAnswer = 256 << 20
	// largestPage is the largest page that the service makes.
	largestPage = 500
)

// client makes the calls of one command.
type client struct {
	service *service
	http    *http.Client
	// tell says to the person what is waited for.
	tell io.Writer
}

func newClient(s *service, tell io.Writer) *client {
	return &client{s, &http.Client{
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, ResponseHeaderTimeout: answerWithin},
		// The key goes to the address that was given, and to no other.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, tell}
}

// run makes the call of a command and prints what is answered.
func (o operation) run(c *cobra.Command, s *service, args []string) error {
	print, err := printerOf(c)
	if err != nil {
		return err
	}
	made, err := o.callOf(c, args)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	calls := newClient(s, c.ErrOrStderr())
	if o.paged {
		limit, _ := c.Flags().GetInt("limit")
		if limit < 0 {
			return Misused(fmt.Errorf("--limit is %d; expected a number above zero, or none for all", limit))
		}
		err = o.page(ctx, calls, made, limit, print)
	} else {
		err = o.once(ctx, calls, made, c.OutOrStdout(), print)
	}
	if ctx.Err() != nil && c.Context().Err() == nil {
		return errors.New("interrupted")
	}
	return o.explain(err)
}

// once makes a call whose answer has no pages.
func (o operation) once(ctx context.Context, calls *client, made call, out io.Writer, print printer) error {
	text, err := calls.do(ctx, made)
	if err != nil || len(bytes.TrimSpace(text)) == 0 {
		return err
	}
	if o.raw {
		_, err := out.Write(text)
		return err
	}
	if o.listed {
		var answer page
		if err := json.Unmarshal(text, &answer); err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		text = answer.array()
	}
	return printValue(print, text)
}

// page is a page of a list.
type page struct {
	Items []json.RawMessage `json:"items"`
	Next  string            `json:"nextCursor"`
}

func (p page) array() []byte {
	return bytes.Join([][]byte{[]byte("["), bytes.Join(raw(p.Items), []byte(",")), []byte("]")}, nil)
}

func raw(items []json.RawMessage) [][]byte {
	out := make([][]byte, len(items))
	for i, item := range items {
		out[i] = item
	}
	return out
}

// page reads a list page by page to its end, or until there are limit items; 0 is no limit.
func (o operation) page(ctx context.Context, calls *client, made call, limit int, print printer) error {
	for left := limit; ; {
		size := largestPage
		if limit > 0 {
			size = min(left, largestPage)
		}
		made.query.Set("limit", strconv.Itoa(size))
		text, err := calls.do(ctx, made)
		if err != nil {
			return err
		}
		var p page
		if err := json.Unmarshal(text, &p); err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		if err := print.page(p.Items); err != nil {
			return err
		}
		left -= len(p.Items)
		if p.Next == "" || limit > 0 && left <= 0 {
			return print.end()
		}
		made.query.Set("cursor", p.Next)
	}
}

// do makes a call and returns its answer. A call that the service asks to make later is made
// again; each has an Idempotency-Key, so that it is done once.
func (c *client) do(ctx context.Context, made call) ([]byte, error) {
	key := rand.Text()
	for until := time.Now().Add(patience); ; {
		status, header, text, err := c.send(ctx, made, key)
		if err != nil {
			return nil, err
		}
		if status < http.StatusMultipleChoices {
			return text, nil
		}
		wait, asked := later(status, header)
		if !asked || made.stream != nil || time.Now().Add(wait).After(until) {
			return nil, refusalOf(status, text)
		}
		_, _ = fmt.Fprintf(c.tell, "the service asks to wait for %s\n", wait)
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}

// later reports whether the service asks for the call to be made again, and after what time.
func later(status int, header http.Header) (time.Duration, bool) {
	if status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable {
		return 0, false
	}
	seconds, err := strconv.Atoi(header.Get("Retry-After"))
	return time.Duration(max(seconds, 1)) * time.Second, err == nil
}

func (c *client) send(ctx context.Context, made call, key string) (int, http.Header, []byte, error) {
	body := made.stream
	if body == nil && made.content != "" {
		body = bytes.NewReader(made.body)
	}
	address := c.service.url + made.path
	if len(made.query) > 0 {
		address += "?" + made.query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, made.method, address, body)
	if err != nil {
		return 0, nil, nil, fmt.Errorf("make the call: %w", err)
	}
	if f, ok := made.stream.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			r.ContentLength = info.Size()
		}
	}
	r.Header.Set("Authorization", "Bearer "+c.service.key.Reveal())
	r.Header.Set("User-Agent", "usersync-command")
	if made.content != "" {
		r.Header.Set("Content-Type", made.content)
	}
	if made.prefer != "" {
		r.Header.Set("Prefer", made.prefer)
	}
	if made.method != http.MethodGet && made.stream == nil {
		r.Header.Set("Idempotency-Key", key)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return 0, nil, nil, fmt.Errorf("%s was not reached: %w", c.service.url, err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return 0, nil, nil, fmt.Errorf("read the answer: %w", err)
	}
	return answer.StatusCode, answer.Header, text, nil
}
