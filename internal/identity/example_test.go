package identity_test

import (
	"fmt"

	"usersync/internal/identity"
)

// An address is shown as it was written and compared by its key. It prints neither by
// accident: Display and Key are asked for by name.
func ExampleParseEmail() {
	email, err := identity.ParseEmail("Jane.Roe+news@Bücher.example")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(email)
	fmt.Println(email.Display())
	fmt.Println(email.Key())
	fmt.Println(identity.CanonicalKey(email))
	// Output:
	// [email]
	// Jane.Roe+news@xn--bcher-kva.example
	// jane.roe+news@xn--bcher-kva.example
	// jane.roe@xn--bcher-kva.example
}

// A company is what the addresses of colleagues have in common.
func ExampleCompany() {
	fmt.Println(identity.Company("mail.acme.co.uk"))
	fmt.Println(identity.Company("acme.co.uk"))
	fmt.Printf("%q\n", identity.Company("co.uk"))
	// Output:
	// acme.co.uk
	// acme.co.uk
	// ""
}

// A job title tells the department and how high it stands, in seven languages.
func ExampleDepartment() {
	for _, title := range []string{"Senior Software Engineer", "Vertriebsleiter", "Directrice marketing", "Astronaut"} {
		fmt.Printf("%s: %q %d\n", title, identity.Department(title), identity.Seniority(title))
	}
	// Output:
	// Senior Software Engineer: "engineering" 3
	// Vertriebsleiter: "sales" 4
	// Directrice marketing: "marketing" 5
	// Astronaut: "" 2
}

// Two people of one company who share a form of their name are taken for one person.
func ExampleFoldName() {
	fmt.Println(identity.FoldName("Dr. Jürgen Müller"))
	fmt.Println(identity.FoldName("MUELLER, Juergen"))
	fmt.Println(identity.FoldName("Anna"))
	// Output:
	// [jurgen muller juergen mueller]
	// [juergen mueller]
	// []
}

// A country is read by its codes and by its name in the larger languages.
func ExampleParseCountry() {
	for _, text := range []string{"de", "DEU", "Allemagne", "Korea"} {
		code, ok := identity.ParseCountry(text)
		fmt.Println(text, code, ok)
	}
	// Output:
	// de DE true
	// DEU DE true
	// Allemagne DE true
	// Korea  false
}
