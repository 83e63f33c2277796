// Package commands is the command line of the API: `usersync RESOURCE VERB` is one call of a
// service. A table says what each command is (table.go, operator.go), and one runner does it:
// it makes a call of flags and arguments, pages on to the end of lists, and prints the answer
// as a table, JSON or YAML.
package commands

import (
	"regexp"
	"strings"
)

// operation is one command: a call of the API.
type operation struct {
	resource, verb string
	// route is the method and the path, with parameters in braces.
	route string
	// own is the path of the same call for the organization whose key it is made with. The
	// command makes it when ORGANIZATION is left out. "" where there is none.
	own   string
	short string
	// args are what stands behind the verb: first the parameters of the path, by their names
	// for people, then members of the body, as NAME=member, or NAME=#member for a number, or
	// parameters of the query, as NAME=?parameter. FILE is where the body is.
	args  []string
	flags []flag
	body  body
	// listed says that the answer has its items in the member items, and paged that it has
	// them page by page.
	listed, paged bool
	// raw says that the answer is printed as it came.
	raw bool
	// columns are what a table of items shows. Without any, and for what is no list, it is
	// everything.
	columns []string
}

func (o operation) method() string {
	method, _, _ := strings.Cut(o.route, " ")
	return method
}

func (o operation) path() string {
	_, path, _ := strings.Cut(o.route, " ")
	return path
}

var parameter = regexp.MustCompile(`\{(\w+)\}`)

// parameters returns the names of the parameters of the path.
func (o operation) parameters() []string {
	var names []string
	for _, match := range parameter.FindAllStringSubmatch(o.path(), -1) {
		names = append(names, match[1])
	}
	return names
}

// use is how the command is written.
func (o operation) use() string {
	use := o.verb
	for _, arg := range o.args {
		name, _, _ := strings.Cut(arg, "=")
		if o.own != "" {
			name = "[" + name + "]"
		}
		use += " " + name
	}
	return use
}

// body is what a command sends.
type body int

const (
	// nothing is sent.
	nothing body = iota
	// optional is a body that may be left out.
	optional
	// object is a JSON object, of flags, arguments and --body.
	object
	// document is YAML from a file.
	document
	// rows is CSV or NDJSON from a file, as a stream.
	rows
)

// place is where a flag goes.
type place int

const (
	inQuery place = iota
	inBody
	inPrefer
)

// kind is what a flag takes.
type kind int

const (
	text kind = iota
	list
	number
	truth
	// duration is a length of time, sent as the API writes it.
	duration
	// ahead is a length of time, sent as the time that is so far ahead.
	ahead
	// moment is a time, or a length of time for so long ago.
	moment
	// seconds is a length of time, sent as a number of seconds.
	seconds
)

// flag is a flag and where its value goes.
type flag struct {
	name string
	in   place
	// to is the parameter, or the member of the body: filter.status is the member status of
	// the member filter.
	to   string
	kind kind
	help string
}

// query is a flag that is a parameter of the same name.
func query(name, help string) flag {
	return flag{name: name, in: inQuery, to: camel(name), help: help}
}

// member is a flag that is a member of the body of the same name.
func member(name, help string) flag {
	return flag{name: name, in: inBody, to: camel(name), help: help}
}

// of has a flag take something else than text.
func (f flag) of(k kind) flag {
	f.kind = k
	return f
}

// as has a flag go to a member of another name.
func (f flag) as(to string) flag {
	f.to = to
	return f
}

// wait is the flag of calls that can wait for the end of a request.
var wait = flag{name: "wait", in: inPrefer, to: "wait", kind: seconds, help: "wait so long for the request to be finished; at most 30s"}

// camel writes a-name as aName.
func camel(name string) string {
	words := strings.Split(name, "-")
	for i, word := range words[1:] {
		words[i+1] = strings.ToUpper(word[:1]) + word[1:]
	}
	return strings.Join(words, "")
}
