package connector

import (
	"net/http"
	"strings"
	"time"

	"usersync/internal/foreign"
	"usersync/internal/outbound"
)

// maxAnswer is how many bytes of an answer are shown.
const maxAnswer = 1 << 10

// shown describes a call to the owner of the connection. response is nil where none came.
func (c *Client) shown(req *http.Request, response *outbound.Response, took time.Duration) outbound.Made {
	path := strings.Split(req.URL.Path, "/")
	for i, segment := range path {
		path[i] = c.harmless(segment, MaxName)
	}
	made := outbound.Made{What: foreign.Fit(req.Method+" "+strings.Join(path, "/"), MaxName), Took: took}
	if response == nil {
		return made
	}
	if made.Status = response.Status; made.Status < 200 || made.Status > 299 {
		made.Answer = c.harmless(string(response.Body[:min(len(response.Body), quotedFrom)]), maxAnswer)
	}
	return made
}

// harmless returns up to most bytes of a text without secrets and addresses.
func (c *Client) harmless(text string, most int) string {
	for _, secret := range c.secrets {
		text = strings.ReplaceAll(text, secret, "(secret)")
	}
	return foreign.Fit(address.ReplaceAllString(strings.ToValidUTF8(text, ""), "(address)"), most)
}
