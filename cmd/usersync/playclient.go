package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"

	"usersync/internal/reaction"
	"usersync/internal/request"
	"usersync/internal/usersync"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 16 << 20

// playClient makes the calls of a scenario.
type playClient struct {
	base string
	key  usersync.Secret
	http *http.Client
}

func newPlayClient(base string, key usersync.Secret) *playClient {
	return &playClient{base: base, key: key, http: newSyncClient().http}
}

// call makes a call and reads its answer into out, unless that is nil.
func (c *playClient) call(ctx context.Context, method, path string, in, out any) (http.Header, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encode the call: %w", err)
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, fmt.Errorf("make the call: %w", err)
	}
	r.Header.Set("Authorization", "Bearer "+c.key.Reveal())
	r.Header.Set("X-API-Key", c.key.Reveal())
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the answer to %s %s: %w", method, path, err)
	}
	if answer.StatusCode >= http.StatusMultipleChoices {
		return nil, fmt.Errorf("%s %s was answered with status %d: %s", method, path, answer.StatusCode, bytes.TrimSpace(text))
	}
	if out == nil {
		return answer.Header, nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return nil, fmt.Errorf("read the answer to %s %s: %w", method, path, err)
	}
	return answer.Header, nil
}

// installed is a follow-up that is in force.
type installed struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Version int64  `json:"version"`
}

// install puts follow-ups in force, by their names.
func (c *playClient) install(ctx context.Context, followUps json.RawMessage) ([]installed, error) {
	var out struct {
		Items []installed `json:"items"`
	}
	_, err := c.call(ctx, http.MethodPost, "/v1/follow-ups/import", map[string]any{"followUps": followUps}, &out)
	return out.Items, err
}

func (c *playClient) pause(ctx context.Context, id string) error {
	_, err := c.call(ctx, http.MethodPost, "/v1/follow-ups/"+url.PathEscape(id)+"/pause", nil, nil)
	return err
}

// report reports an event as a CRM does, and returns its id.
func (c *playClient) report(ctx context.Context, event string, body map[string]any) (id string, err error) {
	header, err := c.call(ctx, http.MethodPost, "/v4/events/"+event, body, nil)
	if err != nil {
		return "", err
	}
	return path.Base(header.Get("X-Location")), nil
}

// event returns an event with its story. The request says whether it was worked already.
func (c *playClient) event(ctx context.Context, id string) (v reaction.EventView, over bool, err error) {
	if _, err = c.call(ctx, http.MethodGet, "/v1/events/"+url.PathEscape(id), nil, &v); err != nil {
		return v, false, err
	}
	r, err := c.request(ctx, v.Cause)
	return v, r.Status.Final(), err
}

func (c *playClient) request(ctx context.Context, id string) (v request.View, err error) {
	_, err = c.call(ctx, http.MethodGet, "/v1/requests/"+url.PathEscape(id), nil, &v)
	return v, err
}
