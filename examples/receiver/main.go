// Command receiver takes webhooks, checks their signatures with Standard
// Webhooks' own library, and prints what came.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// maxBody is more than any webhook has.
const maxBody = 1 << 20

func main() {
	addr := flag.String("addr", "127.0.0.1:9000", "where to listen")
	secret := flag.String("secret", "", "the endpoint's secret, whsec_…")
	flag.Parse()
	hook, err := standardwebhooks.NewWebhook(*secret)
	if err != nil {
		log.Fatal("the secret cannot be used: ", err)
	}
	server := &http.Server{Addr: *addr, Handler: receiver(hook), ReadTimeout: 10 * time.Second}
	log.Print("waiting for webhooks at http://", *addr)
	log.Fatal(server.ListenAndServe())
}

// receiver answers 204 to what is signed and 400 to the rest. A message may come
// more than once: webhook-id tells.
func receiver(hook *standardwebhooks.Webhook) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			http.Error(w, "the body cannot be read", http.StatusBadRequest)
			return
		}
		if err := hook.Verify(body, r.Header); err != nil {
			http.Error(w, "the signature is wrong", http.StatusBadRequest)
			return
		}
		var message struct {
			Type string
			Data struct{ RequestID, Status string }
		}
		if err := json.Unmarshal(body, &message); err != nil {
			http.Error(w, "the body is not JSON", http.StatusBadRequest)
			return
		}
		fmt.Println(r.Header.Get("webhook-id"), message.Type, message.Data.RequestID, message.Data.Status)
		w.WriteHeader(http.StatusNoContent)
	}
}
