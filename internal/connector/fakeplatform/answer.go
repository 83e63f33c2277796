package fakeplatform

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"usersync/internal/connector"
)

// Answer answers with JSON. If a media type was set before, it stays.
func Answer(w http.ResponseWriter, status int, body any) {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// Read reads JSON. Its numbers keep their digits, as json.Number.
func Read(from io.Reader, to any) error {
	decoder := json.NewDecoder(from)
	decoder.UseNumber()
	return decoder.Decode(to)
}

// Gateway answers like the gateway in front of a platform, with a page of HTML.
func Gateway(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<html><body>error %d</body></html>", status)
}

// Routes are the handlers of calls, by patterns such as "GET /lists/{id}".
type Routes map[string]http.HandlerFunc

// Mux serves the routes. If refuse is not nil, it answers all other calls with 404.
func (r Routes) Mux(refuse func(w http.ResponseWriter, status int)) *http.ServeMux {
	mux := http.NewServeMux()
	for pattern, handler := range r {
		mux.HandleFunc(pattern, handler)
	}
	if refuse != nil {
		mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusNotFound) })
	}
	return mux
}

// About is a handler of calls about one person, whom find finds by the call. Calls
// about nobody are refused with 404.
func About(find func(*http.Request) (Person, bool), refuse func(w http.ResponseWriter, status int),
	do func(w http.ResponseWriter, r *http.Request, one Person),
) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		one, ok := find(r)
		if !ok {
			refuse(w, http.StatusNotFound)
			return
		}
		do(w, r, one)
	}
}

// Config is a connection with these credentials and settings, both JSON.
func Config(credentials, settings string) connector.Config {
	return connector.Config{Credentials: json.RawMessage(credentials), Settings: json.RawMessage(settings)}
}

// Work is what a platform has taken and does later. It is done at once unless it is
// held. The lock of its fake guards it.
type Work struct {
	held    bool
	takes   time.Duration
	waiting []workToDo
}

type workToDo struct {
	do  func()
	due time.Time
}

// Add takes work.
func (w *Work) Add(do func()) {
	w.waiting = append(w.waiting, workToDo{do, time.Now().Add(w.takes)})
	w.Settle()
}

// Takes has work that is added from now on take so long.
func (w *Work) Takes(d time.Duration) { w.takes = d }

// Settle does what is due. A fake calls it before it says how far work is.
func (w *Work) Settle() {
	if w.held {
		return
	}
	w.waiting = slices.DeleteFunc(w.waiting, func(one workToDo) bool {
		due := !time.Now().Before(one.due)
		if due {
			one.do()
		}
		return due
	})
}

// Hold keeps work from being done until it is called with false.
func (w *Work) Hold(held bool) { //lint:flag held is the state that is set
	w.held = held
	w.Settle()
}
