package identity

import "github.com/nyaruka/phonenumbers"

// ParsePhone returns a telephone number in the form of E.164, such as "+442071838750". A
// number without a country's code is taken as one of country, an ISO 3166-1 alpha-2 code.
// It reports false for what is no number that could be called there.
func ParsePhone(text, country string) (e164 string, ok bool) {
	number, err := phonenumbers.Parse(text, country)
	if err != nil || !phonenumbers.IsValidNumber(number) {
		return "", false
	}
	return phonenumbers.Format(number, phonenumbers.E164), true
}
