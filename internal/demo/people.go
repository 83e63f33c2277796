package demo

// people is the directory of the demo organization: invented people at two
// companies under example domains, with the traps the search has to see.
var people = []struct{ email, name, jobTitle, country string }{
	{"grace.lee@acme.example.com", "Grace Lee", "Software Engineer", "US"},
	{"omar.haddad@acme.example.com", "Omar Haddad", "Senior Software Engineer", "US"},
	{"ines.costa@acme.example.com", "Inês Costa", "Engineering Manager", "PT"},
	{"paul.weber@acme.example.com", "Paul Weber", "Vertriebsleiter", "DE"},
	{"mei.tanaka@acme.example.com", "Mei Tanaka", "Product Designer", "JP"},
	{"info@acme.example.com", "Acme", "", "US"},
	{"grace.lee+news@acme.example.com", "Grace Lee", "", "US"},
	{"tom.baker@globex.example.org", "Tom Baker", "Head of Marketing", "GB"},
	{"lena.novak@globex.example.org", "Lena Novak", "Data Analyst", "CZ"},
}
