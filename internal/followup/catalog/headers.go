package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"usersync/internal/followup"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// headersPrefix begins the ids of rows of follow_up_headers.
const headersPrefix usersync.Prefix = "fuh"

// headersID is the id of the headers of one action of a version. The address is part of it,
// so that nobody finds them for another one.
func headersID(followUp string, version int64, place, address string) string {
	return usersync.DeriveID(headersPrefix, followUp, strconv.FormatInt(version, 10), place, address)
}

// HeadersPlace is where the sealed headers of an organization's follow-up are kept, for
// store.Sealer.
func HeadersPlace(organization, id string) string {
	return "follow_up_headers/" + organization + "/" + id + "/sealed"
}

var (
	keepHeadersStatement = store.Define("catalog.keepHeaders", `
INSERT INTO follow_up_headers (id, organization_id, follow_up_id, version, sealed) SELECT r.id, $1, $2, $3, r.sealed FROM {rows} WHERE true
ON CONFLICT (id, organization_id) DO NOTHING`,
		store.Col("id", store.Text), store.Col("sealed", store.Text))
	headersStatement = store.Define("catalog.headers", `SELECT sealed FROM follow_up_headers WHERE id = $2 AND organization_id = $1`)
)

// keepHeaders stores the headers of a version, sealed.
func keepHeaders(ctx context.Context, tx *store.Tx, organization, followUp string, version int64, list []followup.Headers) error {
	if len(list) == 0 {
		return nil
	}
	set := keepHeadersStatement.Rows(len(list))
	for _, h := range list {
		text, err := json.Marshal(h.Values)
		if err != nil {
			return fmt.Errorf("encode the headers: %w", err)
		}
		id := headersID(followUp, version, h.Place, h.Address)
		sealed, err := tx.Sealer().Seal(text, HeadersPlace(organization, id))
		if err != nil {
			return fmt.Errorf("seal the headers: %w", err)
		}
		set.Add(id, sealed)
	}
	return tx.Later(ctx, keepHeadersStatement, set, nil, organization, followUp, version)
}

// HeadersOf returns the values of the headers of one webhook: that of a version of a
// follow-up, in a place, for an address. It has none where none are known.
func HeadersOf(ctx context.Context, o *store.Org, followUp string, version int64, place, address string) (map[string]string, error) {
	return readHeaders(ctx, o.Reader(), o.Sealer(), o.ID(), headersID(followUp, version, place, address))
}

func readHeaders(ctx context.Context, db store.Conn, sealer store.Sealer, organization, id string) (values map[string]string, err error) {
	var sealed string
	err = db.QueryRow(ctx, headersStatement, organization, id).Scan(&sealed)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, store.Classify(err)
	}
	text, err := sealer.Open(sealed, HeadersPlace(organization, id))
	if err != nil {
		return nil, fmt.Errorf("open the headers of a follow-up: %w", err)
	}
	return values, json.Unmarshal(text, &values)
}

// headersOfRow returns the headers of the present version.
func headersOfRow(ctx context.Context, tx *store.Tx, r row, d followup.Definition) ([]followup.Headers, error) {
	_, list := d.Hide()
	for i, h := range list { //lint:loop a definition has few webhooks
		values, err := readHeaders(ctx, tx.Conn, tx.Sealer(), r.OrganizationID, headersID(r.ID, r.Version, h.Place, h.Address))
		if err != nil {
			return nil, err
		}
		for name := range h.Values {
			if value, known := values[name]; known {
				list[i].Values[name] = value
			} else {
				delete(list[i].Values, name)
			}
		}
	}
	return list, nil
}

// restored returns a definition with the values of its headers. The error is invalid, and
// names those that must be given again.
func restored(d followup.Definition, before []followup.Headers) (followup.Definition, error) {
	out, faults := d.Restore(before)
	if len(faults) == 0 {
		return out, nil
	}
	return d, invalid(faults)
}

func invalid(faults []usersync.FieldError) error {
	parts := make([]string, len(faults))
	for i, f := range faults {
		parts[i] = f.Field + " " + f.Message
	}
	return &usersync.Error{Code: usersync.CodeInvalid, Message: strings.Join(parts, "; "), Fields: faults}
}
