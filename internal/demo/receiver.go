package demo

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"usersync/internal/connector/fakeplatform"
	"usersync/internal/usersync"
	"usersync/internal/webhooksig"
)

// kept is how many received webhooks the receiver shows.
const kept = 100

// Receiver takes webhooks as a caller's server would: it checks the signature,
// keeps the body and shows what it got. On the same port it serves fakes of
// platforms and shows the letters of the mailbox beside it.
type Receiver struct {
	listener net.Listener
	server   *http.Server
	fakes    []fakeplatform.Platform // served as well
	letters  *mailbox                // shown as well

	mu      sync.Mutex
	secrets []usersync.Secret
	got     []received
}

// received is one webhook.
type received struct {
	At        usersync.Time   `json:"at"`
	ID        string          `json:"webhookId"`
	Signature string          `json:"signature"` // valid or what is wrong with it
	Body      json.RawMessage `json:"body"`
}

// listen starts a receiver on addr, or on a free port when that is taken.
func listen(addr string) (*Receiver, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		if listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return nil, err
		}
	}
	letters, err := openMailbox()
	if err != nil {
		_ = listener.Close()
		return nil, err
	}
	r := &Receiver{listener: listener, letters: letters}
	mux := http.NewServeMux()
	var fakes *fakeplatform.Server
	fakes, r.fakes = servePlatforms()
	mountPlatforms(mux, fakes)
	mountProvider(mux)
	mux.HandleFunc("POST /webhooks", r.take)
	mux.HandleFunc("GET /webhooks", r.show)
	mux.HandleFunc("GET "+lettersPath, letters.show)
	r.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = r.server.Serve(listener) }() // ends with Close
	return r, nil
}

// URL returns where webhooks are taken and, asked with GET, shown.
func (r *Receiver) URL() string { return "http://" + r.listener.Addr().String() + "/webhooks" }

// lettersPath is where letters are shown.
const lettersPath = "/letters"

// Addr returns where the receiver listens.
func (r *Receiver) Addr() netip.AddrPort {
	addr, _ := netip.ParseAddrPort(r.listener.Addr().String())
	return addr
}

// Addrs returns where the demo listens: the receiver and the mailbox.
func (r *Receiver) Addrs() []netip.AddrPort {
	letters, _ := netip.ParseAddrPort(r.letters.listener.Addr().String())
	return []netip.AddrPort{r.Addr(), letters}
}

// Close stops the receiver.
func (r *Receiver) Close(ctx context.Context) error {
	_ = r.letters.listener.Close()
	err := r.server.Shutdown(ctx)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (r *Receiver) verify(secrets []usersync.Secret) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secrets = secrets
}

// tolerance is how old a signature may be.
const tolerance = 5 * time.Minute

func (r *Receiver) take(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, 1<<20))
	if err != nil || !json.Valid(body) {
		http.Error(w, "the body is not JSON", http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	signature := "no secret"
	for _, s := range r.secrets {
		signature = "valid"
		if err := webhooksig.Verify(s, request.Header, body, time.Now(), tolerance); err != nil {
			signature = usersync.AsError(err).Message
			continue
		}
		break
	}
	if signature != "valid" {
		http.Error(w, signature, http.StatusUnauthorized)
		return
	}
	r.got = append(r.got, received{At: usersync.Time{Time: time.Now()}, ID: request.Header.Get(webhooksig.HeaderID), Signature: signature, Body: body})
	if len(r.got) > kept {
		r.got = r.got[len(r.got)-kept:]
	}
	w.WriteHeader(http.StatusNoContent)
}

func (r *Receiver) show(w http.ResponseWriter, _ *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	list := r.got
	if list == nil {
		list = []received{}
	}
	_ = encoder.Encode(list)
}
