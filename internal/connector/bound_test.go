package connector_test

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

// talker is a connector whose every word is what its platform said.
type talker struct {
	said string
	err  error
}

func (c talker) result() connector.Result {
	return connector.Result{Status: connector.Skipped, Reason: c.said, Details: c.said, Remote: c.said,
		Err: &usersync.Error{Message: c.said, Fields: []usersync.FieldError{{Field: c.said, Message: c.said}}}}
}

func (c talker) Check(context.Context) (connector.Facts, error) {
	labels := map[string]string{c.said: c.said, "list:1": c.said}
	for i := range 2 * connector.MaxLabels {
		labels["z"+strconv.Itoa(i)] = ""
	}
	return connector.Facts{Account: c.said, Labels: labels}, c.err
}

func (talker) Content(connector.Profile) any { return nil }

func (c talker) Push(_ context.Context, people []connector.Profile) ([]connector.Result, error) {
	return connector.Everybody(people, c.result()), c.err
}

func (c talker) Preview(context.Context, connector.Profile) (connector.Result, error) {
	return c.result(), c.err
}

func (c talker) Remove(context.Context, connector.Profile) (connector.Result, error) {
	return c.result(), c.err
}

type confirming struct{ talker }

func (c confirming) Confirm(_ context.Context, _ string, people []connector.Profile) ([]connector.Result, error) {
	return connector.Everybody(people, connector.Working("Acme", c.said, c.said)), c.err
}

type making struct{ talker }

func (c making) CheckAudience(context.Context, string) error { return nil }

func (c making) MakeAudience(context.Context, string, string) (string, usersync.PlatformSync, error) {
	return c.said, usersync.PlatformSync{List: c.said}, c.err
}

type doingAll struct {
	confirming
	making
}

func (c doingAll) Check(ctx context.Context) (connector.Facts, error) { return c.making.Check(ctx) }
func (c doingAll) Content(p connector.Profile) any                    { return c.making.Content(p) }
func (c doingAll) Push(ctx context.Context, p []connector.Profile) ([]connector.Result, error) {
	return c.making.Push(ctx, p)
}

func (c doingAll) Preview(ctx context.Context, p connector.Profile) (connector.Result, error) {
	return c.making.Preview(ctx, p)
}

func (c doingAll) Remove(ctx context.Context, p connector.Profile) (connector.Result, error) {
	return c.making.Remove(ctx, p)
}

// openAs opens a connection whose connector is c.
func openAs(t *testing.T, c connector.Connector) connector.Connector {
	t.Helper()
	k := connector.Define(kind(connector.Limits{}), func(credentials, settings, connector.Facts, *connector.Client) (connector.Connector, error) {
		return c, nil
	})
	out, err := k.Open(configOf("", ""), &connector.Client{})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// fits fails unless all texts of a value are short and fit for a column.
func fits(t *testing.T, what string, value any) {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var decoded any
	if err := json.Unmarshal(text, &decoded); err != nil {
		t.Fatal(err)
	}
	var look func(any)
	look = func(v any) {
		switch v := v.(type) {
		case string:
			if len(v) > connector.MaxSentence || !utf8.ValidString(v) || strings.Contains(v, "\x00") {
				t.Errorf("%s: a text of %d bytes, valid %v", what, len(v), utf8.ValidString(v))
			}
		case []any:
			for _, one := range v {
				look(one)
			}
		case map[string]any:
			if len(v) > connector.MaxLabels {
				t.Errorf("%s: %d members", what, len(v))
			}
			for key, one := range v {
				look(key)
				look(one)
			}
		}
	}
	look(decoded)
}

func TestNothingThatAPlatformSaysGoesOnUnbounded(t *testing.T) {
	t.Parallel()
	people := []connector.Profile{{UserID: "user_1"}}
	for name, said := range map[string]string{
		"long": strings.Repeat("ä", 2<<20), "control characters": "a\x00b\nc", "half a character": "ab\xff",
	} {
		for _, failure := range []error{nil, usersync.Errorf(usersync.CodeRejected, "%s", said)} {
			c := talker{said, failure}
			for _, one := range []connector.Connector{c, confirming{c}, making{c}, doingAll{confirming{c}, making{c}}} {
				open := openAs(t, one)
				facts, err := open.Check(t.Context())
				fits(t, name, []any{facts, usersync.AsError(err)})
				if len(facts.Account) > connector.MaxName || len(facts.Labels["list:1"]) > connector.MaxName {
					t.Errorf("%s: account of %d bytes, label of %d", name, len(facts.Account), len(facts.Labels["list:1"]))
				}
				results, err := open.Push(t.Context(), people)
				fits(t, name, []any{results, usersync.AsError(err)})
				preview, err := open.Preview(t.Context(), people[0])
				fits(t, name, []any{preview, usersync.AsError(err)})
				removed, err := open.Remove(t.Context(), people[0])
				fits(t, name, []any{removed, usersync.AsError(err)})
				if !utf8.ValidString(results[0].Details + results[0].Reason + facts.Account) {
					t.Errorf("%s: not valid UTF-8", name)
				}
				if results[0].Remote+preview.Remote+removed.Remote != "" {
					t.Errorf("%s: an id was cut and not left out", name)
				}
				if confirmer, ok := open.(connector.Confirmer); ok {
					confirmed, err := confirmer.Confirm(t.Context(), "job", people)
					fits(t, name, []any{confirmed, usersync.AsError(err)})
					if confirmed[0].Status != connector.Failed {
						t.Errorf("%s: a job with such an id is %+v", name, confirmed[0])
					}
				}
				if maker, ok := open.(connector.AudienceMaker); ok {
					id, patch, err := maker.MakeAudience(t.Context(), "a", "")
					fits(t, name, []any{id, patch, usersync.AsError(err)})
					if err == nil {
						t.Errorf("%s: a list with such an id was made", name)
					}
				}
				_, confirms := one.(connector.Confirmer)
				_, stillConfirms := open.(connector.Confirmer)
				_, makes := one.(connector.AudienceMaker)
				_, stillMakes := open.(connector.AudienceMaker)
				if confirms != stillConfirms || makes != stillMakes {
					t.Errorf("%T: confirms %v, makes audiences %v", one, stillConfirms, stillMakes)
				}
			}
		}
	}
}

func TestWhatIsShortStaysAsItIs(t *testing.T) {
	t.Parallel()
	_, err := openAs(t, talker{"short", connector.ErrNoJob}).Push(t.Context(), nil)
	if !errors.Is(err, connector.ErrNoJob) {
		t.Errorf("got %v", err)
	}
	if _, err := openAs(t, talker{"short", context.Canceled}).Push(t.Context(), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	r, err := openAs(t, talker{said: "Zoë's list"}).Preview(t.Context(), connector.Profile{})
	if err != nil || r.Details != "Zoë's list" || r.Remote != "Zoë's list" {
		t.Errorf("got %+v, %v", r, err)
	}
}
