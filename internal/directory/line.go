package directory

import (
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"usersync/internal/identity"
	"usersync/internal/importfile"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// Bounds of what a line may say of a person, those of a user's fields.
const (
	maxField = 256  // characters
	maxLink  = 2048 // characters
)

// check returns the person that a line tells of, or all that is wrong with it.
func check(l chunkLine) (Person, []ImportError) {
	c := checker{line: l.Line}
	p := Person{
		Email: c.email(l.Email), Country: c.country(l.Country),
		Name: c.text(importfile.Name, l.Name), JobTitle: c.text(importfile.JobTitle, l.JobTitle), CompanyName: c.text(importfile.CompanyName, l.CompanyName),
		Website: c.link(importfile.Website, withScheme(l.Website)), Photo: c.link(importfile.Photo, l.Photo),
	}
	if len(c.wrong) > 0 {
		return p, c.wrong
	}
	p.Identity = user.IdentityOf(usersync.UserInput{Email: p.Email, JobTitle: p.JobTitle})
	return p, nil
}

// checker collects what is wrong with a line.
type checker struct {
	line  int64
	wrong []ImportError
}

func (c *checker) refuse(field importfile.Field, message string) {
	c.wrong = append(c.wrong, ImportError{Line: c.line, Field: string(field), Message: message})
}

func (c *checker) email(text string) usersync.Email {
	if text == "" {
		c.refuse(importfile.Email, "is required")
		return usersync.Email{}
	}
	email, err := identity.ParseWrittenEmail(text)
	if err != nil {
		c.refuse(importfile.Email, "is no e-mail address")
	}
	return email
}

func (c *checker) country(text string) string {
	if text == "" {
		return ""
	}
	alpha2, ok := identity.ParseCountry(text)
	if !ok {
		c.refuse(importfile.Country, "is no known country")
	}
	return alpha2
}

// text makes one line of a text.
func (c *checker) text(field importfile.Field, text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if utf8.RuneCountInString(text) > maxField {
		c.refuse(field, "is longer than "+strconv.Itoa(maxField)+" characters")
	}
	return text
}

func (c *checker) link(field importfile.Field, text string) string {
	if text == "" {
		return ""
	}
	if utf8.RuneCountInString(text) > maxLink {
		c.refuse(field, "is longer than "+strconv.Itoa(maxLink)+" characters")
		return ""
	}
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" {
		c.refuse(field, "is no http or https URL")
	}
	return text
}

// withScheme completes a website that is just a domain, as people write them.
func withScheme(website string) string {
	host, _, _ := strings.Cut(website, "/")
	if host == "" || strings.Contains(website, "://") || strings.ContainsAny(host, " :@") || identity.Company(host) == "" {
		return website
	}
	return "https://" + website
}
