package marketing

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"usersync/internal/api"
	"usersync/internal/usersync"
)

// parameter is one parameter of a call: how it is taken from a query and from a
// JSON body.
type parameter struct {
	name string
	// text takes the values of a query and returns what is wrong with them, ""
	// for nothing.
	text func(values []string) (wrong string)
	// json takes the next value of the reader, which notes what is wrong.
	json func(r *api.Reader)
}

// taken says which parameters a call gave and what is wrong with them.
type taken struct {
	given map[string]bool
	wrong []usersync.FieldError
}

// take reads the parameters of a call. What the query says counts over what the
// body says. Other parameters are ignored, and an empty value counts as not given.
func take(c *api.Call, parameters []parameter) (*taken, error) {
	query, err := c.Query()
	if err != nil {
		return nil, fmt.Errorf("read the query: %w", err)
	}
	body, err := c.Body()
	if err != nil {
		return nil, fmt.Errorf("receive the body: %w", err)
	}
	return parse(query, body, parameters)
}

func parse(query url.Values, body []byte, parameters []parameter) (*taken, error) {
	t := &taken{given: map[string]bool{}}
	if len(body) > 0 {
		if err := t.readBody(body, parameters); err != nil {
			return nil, fmt.Errorf("read the body: %w", err)
		}
	}
	for _, p := range parameters {
		values := query[p.name]
		if len(values) == 0 || len(values) == 1 && values[0] == "" {
			continue
		}
		t.given[p.name] = true
		if wrong := p.text(values); wrong != "" {
			t.refuse(p.name, wrong)
		}
	}
	return t, nil
}

func (t *taken) readBody(body []byte, parameters []parameter) error {
	r := api.NewReader(body)
	for name := range r.Object() {
		for _, p := range parameters {
			if p.name != name {
				continue
			}
			t.given[p.name] = r.Kind() != api.KindNull
			p.json(r)
		}
	}
	t.wrong = r.TakeWrong()
	return r.End()
}

func (t *taken) refuse(field, message string) {
	t.wrong = append(t.wrong, usersync.FieldError{Field: field, Message: message})
}

// ignore takes no notice of parameters.
func (t *taken) ignore(names ...string) {
	t.wrong = slices.DeleteFunc(t.wrong, func(w usersync.FieldError) bool {
		return slices.ContainsFunc(names, func(name string) bool { return w.Field == name || strings.HasPrefix(w.Field, name+"[") })
	})
}

// require refuses a call without a parameter, unless it is refused already.
func (t *taken) require(name string) {
	if !t.given[name] && !t.refused(name) {
		t.refuse(name, "is required")
	}
}

// refused reports whether something is wrong with a parameter or a part of it.
func (t *taken) refused(name string) bool {
	for _, w := range t.wrong {
		if w.Field == name || strings.HasPrefix(w.Field, name+"[") {
			return true
		}
	}
	return false
}

// err returns the refusal of the call, nil when nothing is wrong.
func (t *taken) err() error {
	if len(t.wrong) == 0 {
		return nil
	}
	return &usersync.Error{Code: usersync.CodeInvalid, Message: messageInvalid, Fields: t.wrong}
}

func text(name string, to *string, limit int) parameter {
	return parameter{
		name: name,
		text: func(values []string) string {
			if utf8.RuneCountInString(values[0]) > limit {
				return "must have at most " + strconv.Itoa(limit) + " characters"
			}
			*to = values[0]
			return ""
		},
		json: func(r *api.Reader) { *to = r.ShortText(limit) },
	}
}

// flag takes true and false, and 1 and 0, also as texts.
func flag(name string, to *bool) parameter {
	return scalar(name, "must be true or false", func(text string) bool {
		switch strings.ToLower(text) {
		case "true", "1":
			*to = true
		case "false", "0":
			*to = false
		default:
			return false
		}
		return true
	})
}

// scalar takes one value that set reads, also as a text of JSON. set returns
// false for what it cannot read, and wrong says what it must be.
func scalar(name, wrong string, set func(text string) bool) parameter {
	return parameter{
		name: name,
		text: func(values []string) string {
			if !set(values[0]) {
				return wrong
			}
			return ""
		},
		json: func(r *api.Reader) {
			switch r.Kind() {
			case api.KindNull:
				r.Skip()
			case api.KindString:
				if !set(r.Text()) {
					r.Wrong(wrong)
				}
			default:
				if !set(string(r.Raw())) {
					r.Wrong(wrong)
				}
			}
		},
	}
}

// whole takes a whole number from 1 to limit, also as a text.
func whole(name string, to *int, limit int) parameter {
	return scalar(name, "must be a whole number from 1 to "+strconv.Itoa(limit), func(text string) bool {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > limit {
			return false
		}
		*to = n
		return true
	})
}

// list takes texts of 1 to length visible characters, at most limit of them. In a
// query they are separated by commas, or the name stands there more than once. what says
// in words what valid takes.
func list(name string, to *[]string, limit, length int, what string, valid func(string) bool) parameter {
	wrong := "must be " + what + " of 1 to " + strconv.Itoa(length) + " characters"
	tooMany := "must hold at most " + strconv.Itoa(limit) + " entries"
	good := func(s string) bool { return s != "" && utf8.RuneCountInString(s) <= length && valid(s) }
	return parameter{
		name: name,
		text: func(values []string) string {
			var out []string
			for _, value := range values {
				for one := range strings.SplitSeq(value, ",") {
					if one = strings.TrimSpace(one); !good(one) {
						return wrong
					}
					out = append(out, one)
				}
			}
			if len(out) > limit {
				return tooMany
			}
			*to = out
			return ""
		},
		json: func(r *api.Reader) {
			out, count := []string{}, 0
			for range r.Array() {
				if count++; count > limit {
					continue
				}
				one := strings.TrimSpace(r.Text())
				if !good(one) {
					r.Wrong(wrong)
				}
				out = append(out, one)
			}
			if count > limit {
				r.Wrong(tooMany)
			}
			*to = out
		},
	}
}

// isText takes every text.
func isText(string) bool { return true }

// isID takes what may be an id: visible ASCII. An address is none, and would be kept
// with what became of it, where no erasure looks for it.
func isID(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == '@' {
			return false
		}
	}
	return true
}
