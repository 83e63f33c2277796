// Package demo gives a fresh embedded start something to show: an organization
// with credits, an API key, a small directory of people, a webhook receiver, a mailbox and
// two platforms, which are fakes served by this process.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"usersync/internal/credit"
	"usersync/internal/delivery"
	"usersync/internal/directory"
	"usersync/internal/identity"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/user"
	"usersync/internal/usersync"
	"usersync/internal/webhooksig"
)

// credits is what the demo organization begins with.
const credits = 100

// keyFile keeps the demo key, so that every start can print it.
const keyFile = "demo-key"

// Demo is the demo organization of a data directory.
type Demo struct {
	Organization string
	Key          usersync.Secret
	Receiver     *Receiver
	// Codes and Token are what a look-up in the directory dialect needs; Token is zero
	// where the organization has an issuer of its own.
	Codes tenant.Codes
	Token usersync.Secret
}

// actor is who the audit log says made the demo.
const actor = "demo"

// Start makes the demo organization when the data directory has none, starts
// its receiver and points its webhook endpoint there.
func Start(ctx context.Context, s *store.Store, dir string, receiverAddr string) (*Demo, error) {
	d := &Demo{}
	text, err := os.ReadFile(filepath.Join(dir, keyFile)) //nolint:gosec // the operator's own data directory
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := d.create(ctx, s, dir); err != nil {
			return nil, fmt.Errorf("make the demo organization: %w", err)
		}
	case err != nil:
		return nil, err
	default:
		d.Key = usersync.NewSecret(strings.TrimSpace(string(text)))
		caller, ok, err := tenant.FindCaller(ctx, s, tenant.HashKey(d.Key))
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, fmt.Errorf("the key in %s is not in the database; remove the file to have the demo made again", filepath.Join(dir, keyFile))
		}
		d.Organization = caller.Organization.ID
	}
	if err := d.receive(ctx, s, receiverAddr); err != nil {
		return d, err
	}
	if err := d.sendLettersTo(ctx, s, d.Receiver.letters); err != nil {
		return d, err
	}
	if err := d.offerLookups(ctx, s); err != nil {
		return d, fmt.Errorf("set up the look-ups of the demo: %w", err)
	}
	return d, d.connect(ctx, s)
}

func (d *Demo) create(ctx context.Context, s *store.Store, dir string) error {
	o, err := tenant.Create(ctx, s, actor, tenant.Organization{
		Name: "Demo", DefaultInviteLink: "https://app.example.com/join", DefaultRedirectionLink: "https://app.example.com/welcome",
	})
	if err != nil {
		return err
	}
	d.Organization = o.ID
	if _, err := credit.TopUp(ctx, s, actor, o.ID, credits, "demo"); err != nil {
		return err
	}
	var directory0 []directory.Person
	for _, p := range people {
		email, err := identity.ParseEmail(p.email)
		if err != nil {
			return err
		}
		directory0 = append(directory0, directory.Person{Email: email, Name: p.name, JobTitle: p.jobTitle, Country: p.country,
			Identity: user.IdentityOf(usersync.UserInput{Email: email, JobTitle: p.jobTitle})})
	}
	if err := directory.SavePeople(ctx, s.Org(o.ID), o.Salt, directory0); err != nil {
		return err
	}
	if _, d.Key, err = tenant.CreateKey(ctx, s, actor, o.ID, tenant.Key{Name: "demo"}); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, keyFile), []byte(d.Key.Reveal()+"\n"), 0o600)
}

// receive starts the receiver and makes, or moves, the endpoint that points to it.
func (d *Demo) receive(ctx context.Context, s *store.Store, addr string) error {
	org := s.Org(d.Organization)
	endpoints, err := delivery.ListEndpoints(ctx, org, "", 500)
	if err != nil {
		return err
	}
	receiver, err := listen(addr)
	if err != nil {
		return err
	}
	d.Receiver = receiver
	for _, e := range endpoints { //lint:loop ends with the one endpoint that is of the demo
		if e.Description != endpointDescription {
			continue
		}
		receiver.verify(e.Secrets)
		_, err := delivery.UpdateEndpoint(ctx, org, actor, e.ID, func(e *delivery.Endpoint) ([]string, error) {
			if e.URL == receiver.URL() {
				return nil, nil
			}
			e.URL = receiver.URL()
			return []string{"url"}, nil
		})
		return err
	}
	secret := webhooksig.NewSecret()
	receiver.verify([]usersync.Secret{secret})
	_, err = delivery.CreateEndpoint(ctx, org, actor, delivery.Endpoint{
		URL: receiver.URL(), EventTypes: []string{delivery.EveryMessage}, Description: endpointDescription,
	}, secret)
	return err
}

const endpointDescription = "demo receiver of this process"

// Welcome prints what to do first.
func (d *Demo) Welcome(w io.Writer, base string) {
	_, _ = fmt.Fprintf(w, `
usersync is running, embedded.
  console             %[1]s/  sign in with the demo API key, or as the operator with the token in the file admin-token of the data directory
  API                 %[1]s, described at %[1]s/docs
  demo organization   %[2]s, %[3]d credits to begin with
  demo API key        %[4]s
  webhooks received   %[5]s
  letters sent        %[7]s
  demo platforms      mailchimp and sendgrid, fakes served by this process; GET %[6]s shows their calls

Paste this to sync a first user:

  curl -i %[1]s/v1/user-sync -H 'X-API-Key: %[4]s' -H 'Content-Type: application/json' \
    -d '{"user":{"email":"john.doe@acme.example.com","country":"US","firstName":"John","lastName":"Doe","jobTitle":"Software Engineer"}}'

and then, with the requestId of the answer:

  curl -s %[1]s/v1/requests/REQUEST_ID -H 'X-API-Key: %[4]s'

What would a sync of this one user do at the platforms, and what does it do:

  curl -s -X POST '%[1]s/api/marketing/sync-user?email=john.doe@acme.example.com&first_name=Johnny&dryRun=true' -H 'Authorization: Bearer %[4]s'
  curl -s -X POST '%[1]s/api/marketing/sync-user?email=john.doe@acme.example.com&first_name=Johnny' -H 'Authorization: Bearer %[4]s'

A welcome series of follow-ups, played in front of you: make welcome

%[8]s`, base, d.Organization, credits, d.Key.Reveal(), d.Receiver.URL(), "http://"+d.Receiver.Addr().String()+platformPath+"_control/mailchimp",
		"http://"+d.Receiver.Addr().String()+lettersPath, d.lookups(base))
}
