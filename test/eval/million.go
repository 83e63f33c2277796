package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"

	"usersync/internal/colleague"
	"usersync/internal/directory"
	"usersync/internal/identity"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// The mix of the synthetic people, in people of a thousand: the others work at
// companies.
const (
	ofProviders  = 200 // that the lists have
	ofUnlisted   = 60  // providers that no list has
	ofOthers     = 40  // relays, associations, alumni, mistyped providers
	companySize  = 30
	providerSize = 600
	searches     = 3_000
	atOnce       = 5_000
)

var (
	listed  = strings.Fields("gmail.com outlook.com yahoo.co.uk web.de orange.fr libero.it hkbn.net vodafone.de plus.net takas.lt sbb.rs comcast.net qq.com")
	others  = strings.Fields("users.noreply.github.com relay.firefox.com acm.org debian.org alumni.cern oxon.org googlegroups.com gmai.com outlok.com hotmial.com")
	titlesM = strings.Fields("Accountant Engineer Lawyer Nurse Recruiter Developer Controller Buyer")
	placesM = strings.Fields("DE US GB FR ES")
	roleM   = strings.Fields("info sales build-bot infra-root jobs-de cf-web-eng no-reply")
	givenM  = strings.Fields("ann ben carl dora emil frida georg hanna igor lena mario nina oscar paula rosa simon tara ulla viktor wanda daniel robert elizabeth michael katherine thomas william susan")
	shortM  = map[string]string{"daniel": "dan", "robert": "bob", "elizabeth": "liz", "michael": "mike", "katherine": "kate", "thomas": "tom", "william": "bill", "susan": "sue"}
)

// synthetic is a person under one address; two records of one number are one person,
// and 0 is nobody.
type synthetic struct {
	directory.Person
	number int
}

// million makes people and counts what the search says of some of them.
type million struct {
	*world
	random *rand.Rand
	org    tenant.Organization
	people []directory.Person
	owner  map[string]int // who has an address
	teams  [][]synthetic  // some companies, and some domains of nobody's company
	number int
}

// runMillion stores n synthetic people and prints the precision and recall of searches.
func runMillion(ctx context.Context, dir string, n int) (err error) {
	w, err := newWorld(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	m := &million{world: w, random: rand.New(rand.NewPCG(16, 26)), owner: map[string]int{}}
	if m.org, err = tenant.Create(ctx, w.store, "eval", tenant.Organization{Name: "million"}); err != nil {
		return err
	}
	if err := m.fill(ctx, n); err != nil {
		return err
	}
	return m.measure(ctx)
}

func (m *million) fill(ctx context.Context, n int) error {
	made := 0
	for number := 0; made < n; number++ {
		var team []synthetic
		switch part := m.random.IntN(1000 * companySize); {
		case part < ofUnlisted*companySize*companySize/providerSize:
			team = m.customers(fmt.Sprintf("provider%d.example", number), providerSize)
		case part < (ofUnlisted+ofProviders)*companySize:
			team = m.customers(listed[m.random.IntN(len(listed))], companySize)
		case part < (ofUnlisted+ofProviders+ofOthers)*companySize:
			team = m.customers(others[m.random.IntN(len(others))], companySize)
		default:
			team = m.company(fmt.Sprintf("company%d.example", number))
		}
		made += len(team)
		for _, p := range team {
			m.people = append(m.people, p.Person)
		}
		if m.random.IntN(max(n/companySize/searches, 1)) == 0 {
			for _, p := range team {
				m.owner[p.Email.Key()] = p.number
			}
			m.teams = append(m.teams, team)
		}
		if len(m.people) >= atOnce || made >= n {
			if err := directory.SavePeople(ctx, m.store.Org(m.org.ID), m.org.Salt, m.people); err != nil {
				return err
			}
			m.people = m.people[:0]
		}
	}
	_, err := fmt.Fprintf(os.Stderr, "eval: %d people stored\n", made)
	return err
}

func (m *million) name() (given, family string) {
	const letters = "bdfglmnprstvz"
	for range 3 {
		family += string(letters[m.random.IntN(len(letters))]) + string("aeiou"[m.random.IntN(5)])
	}
	return givenM[m.random.IntN(len(givenM))], family + "n"
}

func (m *million) add(team []synthetic, number int, address, name, title, country string) []synthetic {
	email, err := identity.ParseEmail(address)
	if err != nil {
		panic("a synthetic address is none: " + address)
	}
	p := directory.Person{Email: email, Name: name, JobTitle: title, Country: country}
	p.Identity = user.IdentityOf(usersync.UserInput{Email: email, JobTitle: title})
	return append(team, synthetic{p, number})
}

// customers choose their addresses.
func (m *million) customers(domain string, n int) (team []synthetic) {
	for range n {
		given, family := m.name()
		m.number++
		local := []string{given + "." + family, fmt.Sprintf("%s%d", given, 1950+m.random.IntN(60)), given + family, fmt.Sprintf("flower%d", m.number),
			fmt.Sprintf("%s.%s%d", family, given, m.random.IntN(100)), given[:1] + family, fmt.Sprintf("dragon_%d", m.number)}[m.random.IntN(7)]
		team = m.add(team, m.number, local+"@"+domain, given+" "+family, "", placesM[m.random.IntN(len(placesM))])
	}
	return team
}

// company has people, some of them under two addresses, and addresses of nobody.
func (m *million) company(domain string) (team []synthetic) {
	for range companySize {
		given, family := m.name()
		m.number++
		local, name := given+"."+family, given+" "+family
		title, country := titlesM[m.random.IntN(len(titlesM))], placesM[m.random.IntN(len(placesM))]
		team = m.add(team, m.number, local+"@"+domain, name, title, country)
		switch m.random.IntN(40) {
		case 0:
			team = m.add(team, m.number, given[:1]+family+"@"+domain, given+" B. "+family, "", country)
		case 1:
			team = m.add(team, m.number, family+given[:1]+"@"+domain, family+" "+given, "", "")
		case 2:
			team = m.add(team, m.number, given+"_"+family+"@"+domain, "", "", "")
		case 3:
			team = m.add(team, m.number, local+"@mail."+domain, "", title, "")
		case 4:
			team = m.add(team, m.number, given[:1]+family+"@"+domain, given+family, title, "")
		case 5:
			if short := shortM[given]; short != "" {
				team = m.add(team, m.number, short+"@"+domain, short+" "+family, "", "")
			}
		case 6:
			team = m.add(team, 0, roleM[m.random.IntN(len(roleM))]+"@"+domain, "", "", "")
		case 7: // a namesake
			m.number++
			team = m.add(team, m.number, fmt.Sprintf("ab%d@%s", 1000+m.number, domain), name, titlesM[0]+" "+title, country)
		}
	}
	return team
}

// measure searches for one person of each team that was noted.
func (m *million) measure(ctx context.Context) error {
	var total tally
	kinds := map[string]*tally{}
	org := m.store.Org(m.org.ID)
	for _, team := range m.teams {
		p := team[m.random.IntN(len(team))]
		if p.number == 0 {
			continue
		}
		t, kind, err := m.one(ctx, org, p, team)
		if err != nil {
			return err
		}
		if kinds[kind] == nil {
			kinds[kind] = &tally{}
		}
		kinds[kind].add(t)
		total.add(t)
	}
	for _, kind := range []string{"companies", "providers", "all"} {
		t := total
		if kind != "all" && kinds[kind] == nil {
			continue
		} else if kind != "all" {
			t = *kinds[kind]
		}
		if _, err := fmt.Printf("| %s | %d | %d | %d | %d | %.2f | %.2f |\n", kind, t.cases, t.right, t.wrong, t.missed, t.precision(), t.recall()); err != nil {
			return err
		}
	}
	if total.precision() < 99 || total.recall() < 95 {
		return errors.New("precision below 99 % or recall below 95 %")
	}
	return nil
}

func (m *million) one(ctx context.Context, org *store.Org, p synthetic, team []synthetic) (t tally, kind string, err error) {
	target := colleague.Target{Email: p.Email, Name: p.Name, Country: p.Country, JobTitle: p.JobTitle}
	results, err := m.search.Run(ctx, org, tenant.Settings{}, []colleague.Target{target})
	if err != nil {
		return t, "", err
	}
	t.cases, kind = 1, "providers"
	left := map[int]bool{}
	if strings.HasPrefix(p.Email.Domain(), "company") || strings.HasPrefix(p.Email.Domain(), "mail.company") {
		kind = "companies"
		for _, other := range team {
			left[other.number] = true
		}
		delete(left, p.number)
		delete(left, 0)
	}
	for _, found := range results[0].Found {
		if number := m.owner[found.Email.Key()]; left[number] {
			t.right++
			delete(left, number)
		} else {
			t.wrong++
		}
	}
	t.missed = len(left)
	return t, kind, nil
}
