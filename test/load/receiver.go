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
	"usersync/test/services"
	"usersync/test/system"
)

// hooks is the customer's side of the webhooks, in a process of its own: it
// answers 204 and notes in system.Arrivals when each request was told of. It is
// no system.Receiver, which checks signatures and decodes whole bodies: on
// a small machine that CPU is taken from what is being measured.
type hooks struct{ arrivals system.Arrivals }

func serveReceiver(ctx context.Context, addr string) error {
	h := &hooks{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /hooks", h.take)
	mux.HandleFunc("GET /count", func(w http.ResponseWriter, _ *http.Request) { tell(w, h.arrivals.Count()) })
	mux.HandleFunc("GET /arrivals", func(w http.ResponseWriter, _ *http.Request) { tell(w, h.arrivals.All()) })
	return serveHTTP(ctx, addr, mux)
}

func tell(w io.Writer, r system.Received) {
	_ = json.NewEncoder(w).Encode(r) // fails only when the asker has gone
}

var bodies = sync.Pool{New: func() any { return new([]byte) }}

func (h *hooks) take(w http.ResponseWriter, request *http.Request) {
	at := time.Now()
	buffer := bodies.Get().(*[]byte)
	defer bodies.Put(buffer)
	body, err := readInto((*buffer)[:0], request.Body)
	*buffer = body
	id := requestID(body)
	if err != nil || id == "" {
		http.Error(w, "no requestId", http.StatusBadRequest)
		return
	}
	h.arrivals.Note(id, request.Header.Get(webhooksig.HeaderID), at)
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

// receiver is that process as the run sees it.
type receiver struct {
	*services.Process
	addr   string
	client *system.Client // for its reports
}

// receive starts a receiver.
func (b *bench) receive(ctx context.Context) (*receiver, error) {
	p, addr, err := b.serveRole(ctx, roleReceiver)
	if err != nil {
		return nil, err
	}
	return &receiver{Process: p, addr: addr, client: system.NewClient("", "http://"+addr)}, nil
}

// count returns how much came until now.
func (r *receiver) count(ctx context.Context) (out system.Received, err error) {
	return out, r.client.Ask(ctx, http.MethodGet, "/count", nil, &out)
}

// arrivals returns what came until now of each request.
func (r *receiver) arrivals(ctx context.Context) (out system.Received, err error) {
	return out, r.client.Ask(ctx, http.MethodGet, "/arrivals", nil, &out)
}
