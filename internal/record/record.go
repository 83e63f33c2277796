// Package record is what the directory dialect tells of a user, and how what our store
// knows and what an identity provider knows become one record. It is pure: it reads no
// clock, no database and no network.
package record

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"usersync/internal/foreign"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// State says how a user can sign in, in the words of the seed's page.
type State string

// The states.
const (
	Standard   State = "Standard"   // with a password and a verified address, or at a provider
	Lite       State = "Lite"       // without a password
	Unverified State = "Unverified" // with a password and an address that is not verified
)

// Keys are the names of the metadata in the order of the seed's page. An answer has all of
// them, always.
var Keys = []string{
	"title", "phoneNumber", "gender", "age", "dob", "dobYYYY", "acceptsEmailOffers", "acceptsEmailAds", "acceptsEmailPromotions",
	"address", "city", "country", "position", "isOkToEmail", "isOkToPhone", "isOkToMail", "workPhone", "timeZone", "scoreMember",
	"companyName", "postalCode", "cellPhone", "acceptsEENotification", "ebill_flag", "eadvan_flag", "eedition_flag", "ee_email_flag",
	"promo_flag", "feat_flag", "dealdigger_flag", "ads_flag", "member_event_flag", "contentEngagement_flag", "subcom_flag",
	"survey_flag", "accountUpdates_flag", "photo", "displayName", "optOutMarketing", "agreeToTerms", "bounceType",
}

// Metadata are the values of Keys; one that is missing is "".
type Metadata map[string]string

// MarshalJSON writes every key, in the order of Keys.
func (m Metadata) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	for i, key := range Keys {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString(strconv.Quote(key) + ":")
		if err := encoder.Encode(m[key]); err != nil {
			return nil, err
		}
		out.Truncate(out.Len() - len("\n"))
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// Record is a user as the dialect tells of them.
type Record struct {
	ID                  string
	Email               usersync.Email
	FirstName, LastName string
	State               State
	Metadata            Metadata
	Verified            bool
}

// Login is what our store knows of how a user signs in.
type Login struct {
	Password bool // whether there is one
	Verified bool // whether the user has shown that the address is theirs
}

// Profile is what an identity provider knows of a user. Blank texts say nothing.
type Profile struct {
	// ID is the provider's own.
	ID                  string
	Email               usersync.Email
	FirstName, LastName string
	// Verified is nil where the provider does not say.
	Verified *bool
	Metadata Metadata
}

// VerifiedAttribute is the attribute of a user that holds what was told of the address. It
// counts more than what the user has shown here.
const VerifiedAttribute = "verified"

// OfUser returns what our store knows of a user.
func OfUser(u user.Stored, login Login) Record {
	r := Record{ID: u.ID, Email: u.Email, FirstName: u.FirstName, LastName: u.LastName, Metadata: Metadata{}}
	for _, key := range Keys {
		if text := textOf(u.Attributes[key]); text != "" {
			r.Metadata[key] = text
		}
	}
	for key, text := range map[string]string{"country": u.Country, "position": u.JobTitle, "displayName": u.Name} {
		if r.Metadata[key] == "" && text != "" {
			r.Metadata[key] = text
		}
	}
	r.Verified = login.Verified
	if said, err := strconv.ParseBool(strings.ToLower(textOf(u.Attributes[VerifiedAttribute]))); err == nil {
		r.Verified = said
	}
	r.State = stateOf(login, r.Verified)
	return r
}

func stateOf(login Login, verified bool) State {
	switch {
	case !login.Password:
		return Lite
	case !verified:
		return Unverified
	}
	return Standard
}

// textOf returns an attribute as text: "" for what has no value, and the texts of a list
// with commas in between.
func textOf(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	case []any:
		texts := make([]string, 0, len(v))
		for _, one := range v {
			texts = append(texts, textOf(one))
		}
		return strings.Join(texts, ",")
	}
	return ""
}

// Tidy returns the profile so that all of it may be stored and shown: texts are bounded
// and trimmed, blank ones and those of no known name are left out.
func (p Profile) Tidy() Profile {
	p.ID = foreign.Fit(p.ID, user.MaxField)
	p.FirstName, p.LastName = tidy(p.FirstName, user.MaxField), tidy(p.LastName, user.MaxField)
	metadata := Metadata{}
	for _, key := range Keys {
		if text := tidy(p.Metadata[key], user.MaxLink); text != "" {
			metadata[key] = text
		}
	}
	p.Metadata = metadata
	return p
}

func tidy(text string, most int) string {
	return strings.TrimSpace(foreign.Fit(strings.TrimSpace(text), most))
}
