//go:build unix

package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"time"

	"usersync/internal/webhooksig"
)

// receiver is the customer's side of the webhooks: it answers 204 and notes
// when each request was told of. It runs in a process of its own.
type receiver struct {
	mu       sync.Mutex
	got      int64
	arrivals map[string]*arrival // by request id
	messages map[string]struct{} // webhook ids
}

// arrival is what came of one request.
type arrival struct {
	At    int64 `json:"at"` // of the first webhook, in ns since 1970
	Count int   `json:"n"`
}

// received is what a receiver reports.
type received struct {
	Deliveries int64               `json:"deliveries"`
	Messages   int                 `json:"messages"` // different webhook ids
	Requests   int                 `json:"requests"` // different request ids
	Arrivals   map[string]*arrival `json:"arrivals,omitempty"`
}

func serveReceiver(ctx context.Context, addr string) error {
	r := &receiver{arrivals: map[string]*arrival{}, messages: map[string]struct{}{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /hooks", r.take)
	mux.HandleFunc("GET /count", func(w http.ResponseWriter, _ *http.Request) { r.report(w, false) })
	mux.HandleFunc("GET /arrivals", func(w http.ResponseWriter, _ *http.Request) { r.report(w, true) })
	return serveHTTP(ctx, addr, mux)
}

var bodies = sync.Pool{New: func() any { return new([]byte) }}

func (r *receiver) take(w http.ResponseWriter, request *http.Request) {
	at := time.Now().UnixNano()
	buffer := bodies.Get().(*[]byte)
	defer bodies.Put(buffer)
	body, err := readInto((*buffer)[:0], request.Body)
	*buffer = body
	id := requestID(body)
	if err != nil || id == "" {
		http.Error(w, "no requestId", http.StatusBadRequest)
		return
	}
	r.note(id, request.Header.Get(webhooksig.HeaderID), at)
	w.WriteHeader(http.StatusNoContent)
}

func readInto(buffer []byte, from io.Reader) ([]byte, error) {
	for {
		if len(buffer) == cap(buffer) {
			buffer = append(buffer, 0)[:len(buffer)]
		}
		n, err := from.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		if err == io.EOF {
			return buffer, nil
		}
		if err != nil {
			return buffer, err
		}
	}
}

func (r *receiver) note(request, message string, at int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got++
	r.messages[message] = struct{}{}
	one := r.arrivals[request]
	if one == nil {
		one = &arrival{At: at}
		r.arrivals[request] = one
	}
	one.Count++
}

func (r *receiver) report(w http.ResponseWriter, all bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := received{Deliveries: r.got, Messages: len(r.messages), Requests: len(r.arrivals)}
	if all {
		out.Arrivals = r.arrivals
	}
	_ = json.NewEncoder(w).Encode(out) // fails only when the asker has gone
}

// askReceiver reads a report from one of the receiver's two routes.
func askReceiver(ctx context.Context, addr, route string) (*received, error) {
	body, err := fetch(ctx, "http://"+addr+route)
	if err != nil {
		return nil, err
	}
	out := &received{}
	return out, json.Unmarshal(body, out)
}
