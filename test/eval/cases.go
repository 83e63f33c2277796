package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"usersync/internal/colleague"
)

//go:embed testdata/*.txt testdata/new/*.txt testdata/kept/*.txt
var testdata embed.FS

// human is one record of a person as a caller or an import tells it.
type human struct {
	address, name, title, country string
	user, hand, deleted, old      bool
}

// labelled is a case: a target among people, and what a search should say.
type labelled struct {
	family string
	place  string // file:line
	text   string // what it is about, or the line itself
	limit  string // why it is known to fail; "" when it is not

	target  human
	aliases [][]string
	people  []human
	skipped string
	// yes and no are addresses that should be found, and that should not.
	yes, no []string
	// reason, when set, is what should be among the reasons of yes and not of
	// no; all of them should be found, and yes first.
	reason string
	first  []string
	// once are people under several addresses each, of which one should be found.
	once [][]string
	// crowd is how many others work at the company: they are nobody's concern.
	crowd int
}

// show returns an address with what the case tells of the person, for people
// to read.
func (c *labelled) show(address string) string {
	for _, h := range c.people {
		if h.address == address {
			return strings.TrimRight(strings.Join([]string{address, h.name, h.title, h.country}, "; "), "; ")
		}
	}
	return address
}

// load reads the cases of a set: the files of one folder.
func load(folder string) ([]*labelled, error) {
	files, err := fs.Glob(testdata, path.Join("testdata", folder, "*.txt"))
	if err != nil {
		return nil, err
	}
	var all []*labelled
	for _, file := range files {
		text, err := testdata.ReadFile(file)
		if err != nil {
			return nil, err
		}
		cases, err := parse(strings.TrimPrefix(file, "testdata/"), string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, cases...)
	}
	return all, nil
}

// parser reads one file.
type parser struct {
	family string
	cases  []*labelled
	block  *labelled // the block that is being read; nil outside of one
}

func parse(file, text string) ([]*labelled, error) {
	var p parser
	number := 0
	for line := range strings.Lines(text) {
		number++
		if err := p.line(fmt.Sprintf("%s:%d", file, number), strings.TrimSpace(line)); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, number, err)
		}
	}
	return p.cases, nil
}

func (p *parser) line(place, line string) error {
	if family, ok := strings.CutPrefix(line, "["); ok {
		p.family, p.block = strings.TrimSuffix(family, "]"), nil
		return nil
	}
	statement, comment, _ := strings.Cut(" "+line, " #") // C# is no comment
	statement, comment = strings.TrimSpace(statement), strings.TrimSpace(comment)
	if statement == "" {
		return nil
	}
	word, rest, _ := strings.Cut(statement, " ")
	rest = strings.TrimSpace(rest)
	if add := inBlock[word]; add != nil {
		if p.block == nil {
			return fmt.Errorf("%s outside of a case", word)
		}
		return add(p.block, rest)
	}
	if spread := severalCases[word]; spread != nil {
		p.block = nil
		cases, err := spread(rest)
		for _, c := range cases {
			c.family, c.place, c.limit = p.family, place, limitOf(comment)
		}
		p.cases = append(p.cases, cases...)
		return err
	}
	read := oneLine[word]
	if read == nil {
		return fmt.Errorf("unknown word %q", word)
	}
	c := &labelled{family: p.family, place: place, text: statement, limit: limitOf(comment)}
	p.block = nil
	if word == "case" {
		c.text, p.block = rest, c
	}
	p.cases = append(p.cases, c)
	return read(c, rest)
}

// limitOf returns why a case is known to fail, or "".
func limitOf(comment string) string {
	limit, ok := strings.CutPrefix(comment, "LIMIT:")
	if !ok {
		return ""
	}
	return strings.TrimSpace(limit)
}

// oneLine reads the words that begin a case.
var oneLine = map[string]func(*labelled, string) error{
	"case":    func(*labelled, string) error { return nil },
	"company": readCompany,
	"skip":    readSkip,
	"country": func(c *labelled, s string) error {
		c.reason = colleague.ReasonSameCountry
		return readTrait(c, s, func(h *human, value string) { h.country, h.title = value, "Clerk" })
	},
	"title": func(c *labelled, s string) error {
		c.reason = colleague.ReasonSameDepartment
		return readTrait(c, s, func(h *human, value string) { h.title = value })
	},
	"level": func(c *labelled, s string) error {
		c.reason = colleague.ReasonNearSeniority
		return readTrait(c, s, func(h *human, value string) { h.title = value })
	},
	"same":  readSame,
	"twice": readTwice,
	"one":   readOne,
	"self":  readSelf,
	"two":   readTwo,
	"large": func(c *labelled, s string) error {
		c.crowd = crowd
		return readTwo(c, s)
	},
}

// crowd is how many others work at a large company: no more than a search keeps.
const crowd = 40

// severalCases reads the words that make a case of each of their values.
var severalCases = map[string]func(string) ([]*labelled, error){
	"skips": func(s string) ([]*labelled, error) {
		reason, domains, _ := strings.Cut(s, " ")
		return each(domains, func(c *labelled, domain string) error { return readSkip(c, "ann@"+domain+" "+reason) })
	},
	"works": func(s string) ([]*labelled, error) {
		return each(s, func(c *labelled, domain string) error { return readCompany(c, "ann@"+domain+" ~ ben@"+domain) })
	},
	"roles": func(s string) ([]*labelled, error) {
		return each(s, func(c *labelled, local string) error {
			return readCompany(c, "ann@acme.example ~ ben@acme.example ! "+atAcme(local))
		})
	},
	"persons": func(s string) ([]*labelled, error) {
		return each(s, func(c *labelled, local string) error { return readCompany(c, "zed@acme.example ~ "+atAcme(local)) })
	},
}

func each(list string, read func(*labelled, string) error) ([]*labelled, error) {
	var cases []*labelled
	for value := range strings.FieldsSeq(list) {
		c := &labelled{text: value}
		if err := read(c, value); err != nil {
			return cases, err
		}
		cases = append(cases, c)
	}
	if len(cases) == 0 {
		return nil, errors.New("values are needed")
	}
	return cases, nil
}

// atAcme completes an address of which only the local part is given.
func atAcme(address string) string {
	if strings.Contains(address, "@") {
		return address
	}
	return address + "@acme.example"
}

// split takes "target ~ a | b ! c" apart. What stands before ~ and ! is parted
// by | too.
func split(s string) (target, yes, no []string) {
	s, after, _ := strings.Cut(s, " !")
	s, middle, _ := strings.Cut(s, " ~")
	return values(s), values(middle), values(after)
}

func values(s string) []string {
	var list []string
	for v := range strings.SplitSeq(s, "|") {
		if v = strings.TrimSpace(v); v != "" {
			list = append(list, v)
		}
	}
	return list
}

var errTarget = errors.New("one target is needed, and people")

func readCompany(c *labelled, s string) error {
	target, yes, no := split(s)
	if len(target) != 1 || len(yes)+len(no) == 0 {
		return errTarget
	}
	c.target = human{address: target[0]}
	c.yes, c.no = strings.Fields(strings.Join(yes, " ")), strings.Fields(strings.Join(no, " "))
	for _, address := range slices.Concat(c.yes, c.no) {
		c.people = append(c.people, human{address: address})
	}
	return nil
}

func readSkip(c *labelled, s string) error {
	address, reason, ok := strings.Cut(s, " ")
	if !ok {
		return errors.New("a reason is needed")
	}
	_, domain, _ := strings.Cut(address, "@")
	c.target, c.skipped = human{address: address}, strings.TrimSpace(reason)
	for _, local := range []string{"one.stranger", "two.strangers", "three.strangers"} {
		c.people = append(c.people, human{address: local + "@" + domain})
		c.no = append(c.no, local+"@"+domain)
	}
	return nil
}

// readTrait makes people of one company who differ in one trait. Those that
// should go first stand behind in the order of addresses, which decides where
// nothing else does.
func readTrait(c *labelled, s string, set func(*human, string)) error {
	target, yes, no := split(s)
	if len(target) != 1 || len(yes) == 0 || len(no) == 0 {
		return errTarget
	}
	person := func(address, name, value string) human {
		h := human{address: address, name: name, country: "DE"}
		set(&h, value)
		return h
	}
	c.target = person("target@acme.example", "Tara Target", target[0])
	for i, value := range yes {
		h := person(fmt.Sprintf("z%d@acme.example", i), fmt.Sprintf("Zoe Number%d", i), value)
		c.people, c.yes = append(c.people, h), append(c.yes, h.address)
	}
	for i, value := range no {
		h := person(fmt.Sprintf("a%d@acme.example", i), fmt.Sprintf("Ada Number%d", i), value)
		c.people, c.no = append(c.people, h), append(c.no, h.address)
	}
	return nil
}

func readSame(c *labelled, s string) error {
	target, same, others := split(s)
	if len(target) != 1 || len(same)+len(others) == 0 {
		return errTarget
	}
	c.target = human{address: "target@acme.example", name: target[0]}
	c.addNamed(same, others)
	return nil
}

func readTwice(c *labelled, s string) error {
	same, _, others := split(s)
	if len(same) < 2 {
		return errTarget
	}
	c.target = human{address: "target@acme.example", name: "Tara Target"}
	c.addNamed(same, others)
	c.yes, c.no = append(c.yes, c.no[0]), c.no[1:]
	return nil
}

// readHumans reads people of Acme, parted by |.
func readHumans(s string, least int) ([]human, error) {
	var people []human
	for _, one := range values(s) {
		h, err := readHuman(one)
		if err != nil {
			return nil, err
		}
		h.address = atAcme(h.address)
		people = append(people, h)
	}
	if len(people) < least {
		return nil, fmt.Errorf("%d people are needed", least)
	}
	return people, nil
}

// control is a colleague who is found whatever becomes of the others.
var control = human{address: "zed.control@acme.example", name: "Zed Control"}

func readOne(c *labelled, s string) error {
	people, err := readHumans(s, 2)
	if err != nil {
		return err
	}
	c.target, c.people = human{address: "target@acme.example", name: "Tara Target"}, people
	var once []string
	for _, h := range people {
		once = append(once, h.address)
	}
	c.once = [][]string{once}
	return nil
}

func readSelf(c *labelled, s string) error {
	people, err := readHumans(s, 2)
	if err != nil {
		return err
	}
	c.target, c.people, c.yes = people[0], slices.Concat(people[1:], []human{control}), []string{control.address}
	for _, h := range people[1:] {
		c.no = append(c.no, h.address)
	}
	return nil
}

func readTwo(c *labelled, s string) error {
	people, err := readHumans(s, 2)
	if err != nil {
		return err
	}
	// The target shares with the people what makes them first in a crowd.
	c.target = human{address: "target@acme.example", name: "Tara Target", title: people[0].title, country: people[0].country}
	c.people = people
	for _, h := range people {
		c.yes = append(c.yes, h.address)
	}
	return nil
}

func (c *labelled) addNamed(same, others []string) {
	for i, name := range same {
		h := human{address: fmt.Sprintf("a%d@acme.example", i), name: name}
		c.people, c.no = append(c.people, h), append(c.no, h.address)
	}
	for i, name := range others {
		h := human{address: fmt.Sprintf("b%d@acme.example", i), name: name}
		c.people, c.yes = append(c.people, h), append(c.yes, h.address)
	}
}

// inBlock reads the lines of a block.
var inBlock = map[string]func(*labelled, string) error{
	"for": func(c *labelled, s string) (err error) {
		c.target, err = readHuman(s)
		return err
	},
	"alias": func(c *labelled, s string) error {
		c.aliases = append(c.aliases, strings.Fields(s))
		return nil
	},
	"yes":   func(c *labelled, s string) error { return c.add(s, &c.yes) },
	"no":    func(c *labelled, s string) error { return c.add(s, &c.no) },
	"first": func(c *labelled, s string) error { c.first = strings.Fields(s); return nil },
}

func (c *labelled) add(s string, label *[]string) error {
	h, err := readHuman(s)
	c.people = append(c.people, h)
	if !slices.Contains(*label, h.address) {
		*label = append(*label, h.address)
	}
	return err
}

// readHuman reads "[user|hand|deleted|old …] address; name; job title; country".
func readHuman(s string) (human, error) {
	fields := strings.Split(s, ";")
	for i := range fields {
		fields[i] = strings.TrimSpace(fields[i])
	}
	fields = append(fields, "", "", "")
	h := human{name: fields[1], title: fields[2], country: fields[3]}
	words := strings.Fields(fields[0])
	if len(words) == 0 {
		return h, errors.New("an address is needed")
	}
	h.address = words[len(words)-1]
	for _, flag := range words[:len(words)-1] {
		switch flag {
		case "user":
			h.user = true
		case "hand":
			h.hand = true
		case "deleted":
			h.deleted = true
		case "old":
			h.old = true
		default:
			return h, fmt.Errorf("unknown mark %q", flag)
		}
	}
	return h, nil
}
