// Command eval measures how good the colleague search is:
//
//	make eval
//	go run ./test/eval new kept          only the sets in these folders of testdata
//	go run ./test/eval people=1000000    precision and recall among so many synthetic people
//
// It runs the labelled cases of testdata through the whole way a search goes:
// people are stored as a request or an import stores them, in a database of
// their own (SQLite, in a temporary directory), and colleague.Search looks for
// them. It prints precision, recall and passed cases by family and in all, and
// every failure with what was expected. The exit status is 1 when a case fails
// that is not marked as a known limit, or a figure is below its floor.
//
// # Cases
//
// A file holds families, [name], and cases, mostly of one line. ~ stands before
// what belongs to the target, ! before what does not; | parts values; # begins
// a comment that says what the case is about.
//
//	company ann@us.acme.example ~ ben@acme.example ! carl@acme.test
//	        Who of these people is found for the first.
//	skip    ann@gmail.com personal_email
//	        The search is skipped, for that reason; nobody of that domain is found.
//	country Deutschland ~ DEU | Allemagne ! Denmark
//	title   Contable ~ Accountant | Buchhalter ! Comercial
//	level   Senior Developer ~ Lead Engineer ! Intern
//	        Which countries are the same, titles of the same department, ranks at
//	        most one apart: it shows in the reasons, and those go first.
//	same    John Doe ~ Doe, John ! Jane Doe
//	        Who of these is the target under a second address: not found.
//	twice   John Doe | Doe, John ! Jane Doe
//	        Who of these is one person under two addresses: the first is found.
//
//	one     ann.lee; Ann Lee | alee; Ann B. Lee
//	        These are one person under several addresses: one of them is found.
//	self    ann.lee; Ann Lee | alee; Ann B. Lee
//	        The others are the first under other addresses: none is found.
//	two     ann.lee; Ann Lee; title; country | ann.lee2; Ann Lee; title; country
//	        These are several people: all are found.
//	large   the same, in a company of many
//
// People stand there as in a block, without a host at acme.example. These words
// make a case of each of their values:
//
//	skips   personal_email a.example b.example
//	works   a.example b.example       two people there find each other
//	roles   info sales-team           local parts of nobody
//	persons ap1234 peter.bot          local parts of people
//
// What has no line of its own is a block:
//
//	case what it is about
//	for    address; name; job title; country
//	alias  acme.example acme.test
//	yes    address; name; job title; country
//	no     address; …
//	first  address address
//
// for is the target, alias one company's domains, yes and no are people of the
// directory who are expected or not, first is how the result begins. Behind yes
// and no may stand: user (a user, not in the directory), hand (a colleague made
// by hand), deleted (and the colleague record is deleted), old (changed before
// the others).
//
// A comment that begins with LIMIT: marks a known limit: the case counts in the
// figures, but its failure does not fail the run; its success does.
package main
