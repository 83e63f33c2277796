package identity

import (
	"strings"
	"testing"
)

//nolint:misspell // other languages
func TestTitles(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		title, department string
		seniority         int
	}{
		{"", "", 0},
		{" - ", "", 0},
		{"Teacher", "", 2},
		{"Nurse", "", 2},

		// English
		{"Software Engineer", "engineering", 2},
		{"software engineer", "engineering", 2},
		{"Senior Software Engineer", "engineering", 3},
		{"Sr. Software Engineer", "engineering", 3},
		{"Junior Developer", "engineering", 1},
		{"Staff Engineer", "engineering", 3},
		{"Principal Architect", "engineering", 3},
		{"Tech Lead", "engineering", 3},
		{"Engineering Manager", "engineering", 4},
		{"Head of Engineering", "engineering", 5},
		{"VP Engineering", "engineering", 5},
		{"V.P. of Engineering", "engineering", 5},
		{"CTO", "engineering", 6},
		{"Co-Founder & CTO", "engineering", 6},
		{"Chief Technology Officer", "engineering", 6},
		{"Head of IT", "engineering", 5},
		{"Data Scientist", "engineering", 2},
		{"QA Tester", "engineering", 2},
		{"Head of R&D", "engineering", 5},
		{"Product Engineer", "engineering", 2},
		{"Design Engineer", "engineering", 2},
		{"DevOps Engineer", "engineering", 2},
		{"Sales Engineer", "sales", 2},
		{"Sales Manager", "sales", 4},
		{"International Sales Manager", "sales", 4},
		{"Account Executive", "sales", 2},
		{"Account Manager", "sales", 2},
		{"Senior Account Manager", "sales", 3},
		{"Senior Key Account Manager", "sales", 3},
		{"Business Development Representative", "sales", 2},
		{"VP of Sales", "sales", 5},
		{"Chief Revenue Officer", "sales", 6},
		{"Sales Operations Analyst", "sales", 2},
		{"Marketing Manager", "marketing", 4},
		{"Product Marketing Manager", "marketing", 4},
		{"Marketing Assistant", "marketing", 1},
		{"Marketing Intern", "marketing", 1},
		{"CMO", "marketing", 6},
		{"Head of Growth", "marketing", 5},
		{"Accountant", "finance", 2},
		{"Accounts Payable Clerk", "finance", 2},
		{"Financial Controller", "finance", 2},
		{"Chief Financial Officer", "finance", 6},
		{"CFO", "finance", 6},
		{"Internal Auditor", "finance", 2},
		{"HR Business Partner", "people", 2},
		{"Head of People", "people", 5},
		{"People Operations Manager", "people", 4},
		{"Technical Recruiter", "people", 2},
		{"Chief People Officer", "people", 6},
		{"General Counsel", "legal", 2},
		{"Legal Counsel", "legal", 2},
		{"Data Protection Officer", "legal", 2},
		{"Customer Support Engineer", "support", 2},
		{"Customer Success Manager", "support", 2},
		{"Product Manager", "product", 2},
		{"Senior Product Manager", "product", 3},
		{"Product Owner", "product", 2},
		{"Director of Product", "product", 5},
		{"Chief Product Officer", "product", 6},
		{"Product Designer", "design", 2},
		{"UX Designer", "design", 2},
		{"Art Director", "design", 5},
		{"Project Manager", "operations", 2},
		{"Production Manager", "operations", 4},
		{"COO", "operations", 6},
		{"Head of Operations", "operations", 5},
		{"Supply Chain Manager", "operations", 4},
		{"Executive Assistant to the CEO", "operations", 1},
		{"Air Traffic Controller", "operations", 2},
		{"Warehouse Supervisor", "operations", 4},
		{"CEO", "executive", 6},
		{"CEO & Founder", "executive", 6},
		{"Owner", "executive", 6},
		{"President", "executive", 6},
		{"Vice President", "executive", 5},
		{"Managing Director", "executive", 6},
		{"Chief of Staff", "executive", 5},
		{"Assistant Manager", "operations", 3},
		{"Personal Trainer", "", 2},

		// German
		{"Softwareentwickler", "engineering", 2},
		{"Leiterin Softwareentwicklung", "engineering", 4},
		{"IT-Leiter", "engineering", 4},
		{"Systemadministrator", "engineering", 2},
		{"Maschinenbauingenieur", "engineering", 2},
		{"Vertriebsleiter", "sales", 4},
		{"Außendienstmitarbeiter", "sales", 2},
		{"Verkäuferin", "sales", 2},
		{"Leiter Marketing", "marketing", 4},
		{"Referentin Unternehmenskommunikation", "marketing", 2},
		{"Finanzbuchhalter", "finance", 2},
		{"Steuerfachangestellte", "finance", 2},
		{"Personalreferentin", "people", 2},
		{"Leiter Personal", "people", 4},
		{"Rechtsanwältin", "legal", 2},
		{"Rechtsanwaeltin", "legal", 2},
		{"Datenschutzbeauftragter", "legal", 2},
		{"Kundenbetreuer", "support", 2},
		{"Grafikdesignerin", "design", 2},
		{"Mediengestalter", "design", 2},
		{"Produktmanager", "product", 2},
		{"Produktionsleiter", "operations", 4},
		{"Projektleiter", "operations", 2},
		{"Einkäuferin", "operations", 2},
		{"Assistentin der Geschäftsführung", "operations", 1},
		{"Vorstandsassistentin", "operations", 1},
		{"Geschäftsführer", "executive", 6},
		{"GESCHÄFTSFÜHRERIN", "executive", 6},
		{"Geschaeftsfuehrer", "executive", 6},
		{"Vorstandsvorsitzender", "executive", 6},
		{"Inhaber", "executive", 6},
		{"Werkstudent Marketing", "marketing", 1},
		{"Praktikantin Vertrieb", "sales", 1},
		{"Auszubildender zum Fachinformatiker", "engineering", 1},
		{"Zugbegleiter", "", 2},
		{"Abteilungsleiterin", "", 4},

		// French
		{"Développeur", "engineering", 2},
		{"Ingénieure logiciel", "engineering", 2},
		{"Administrateur systèmes", "engineering", 2},
		{"Directrice commerciale", "sales", 5},
		{"Responsable des ventes", "sales", 4},
		{"Chargée de communication", "marketing", 2},
		{"Directeur financier", "finance", 5},
		{"Comptable", "finance", 2},
		{"Contrôleur de gestion", "finance", 2},
		{"Responsable Ressources Humaines", "people", 4},
		{"DRH", "people", 5},
		{"Avocate", "legal", 2},
		{"Juriste", "legal", 2},
		{"Responsable Service Client", "support", 4},
		{"Chef de produit", "product", 2},
		{"Chef de projet", "operations", 2},
		{"Assistante de direction", "operations", 1},
		{"Président-directeur général", "executive", 6},
		{"PDG", "executive", 6},
		{"Stagiaire marketing", "marketing", 1},

		// Spanish
		{"Ingeniero de software", "engineering", 2},
		{"Desarrolladora web", "engineering", 2},
		{"Jefe de ventas", "sales", 4},
		{"Directora Comercial", "sales", 5},
		{"Contable", "finance", 2},
		{"Directora de Recursos Humanos", "people", 5},
		{"Abogado", "legal", 2},
		{"Diseñadora gráfica", "design", 2},
		{"Atención al cliente", "support", 2},
		{"Director General", "executive", 6},
		{"Becario", "", 1},

		// Dutch
		{"Softwareontwikkelaar", "engineering", 2},
		{"Accountmanager", "sales", 2},
		{"Hoofd Verkoop", "sales", 5},
		{"Boekhouder", "finance", 2},
		{"Advocaat", "legal", 2},
		{"Medewerker klantenservice", "support", 2},
		{"Vormgever", "design", 2},
		{"Inkoper", "operations", 2},
		{"Algemeen directeur", "executive", 6},
		{"Teamleider klantenservice", "support", 4},

		// Portuguese
		{"Engenheiro de Software", "engineering", 2},
		{"Gerente de Vendas", "sales", 4},
		{"Diretor Financeiro", "finance", 5},
		{"Advogada", "legal", 2},
		{"Estagiário de marketing", "marketing", 1},
		{"Diretor de Operações", "operations", 5},
		{"Sócio proprietário", "executive", 6},

		// Italian
		{"Sviluppatore", "engineering", 2},
		{"Responsabile vendite", "sales", 4},
		{"Direttore Marketing", "marketing", 5},
		{"Impiegata contabile", "finance", 2},
		{"Responsabile Risorse Umane", "people", 4},
		{"Avvocato", "legal", 2},
		{"Magazziniere", "operations", 2},
		{"Amministratore Delegato", "executive", 6},
		{"Tirocinante", "", 1},
	} {
		if got := Department(test.title); got != test.department {
			t.Errorf("Department(%q) = %q, want %q", test.title, got, test.department)
		}
		if got := Seniority(test.title); got != test.seniority {
			t.Errorf("Seniority(%q) = %d, want %d", test.title, got, test.seniority)
		}
	}
}

func TestTitleTablesAreReadable(t *testing.T) {
	t.Parallel()
	known := wordSet("engineering sales marketing finance people legal operations support product design executive")
	var patterns []string
	for _, rule := range departmentRules {
		if rule.department != "" && !known[rule.department] {
			t.Errorf("%q is no department", rule.department)
		}
		patterns = append(patterns, strings.Split(rule.patterns, ",")...)
	}
	for _, rule := range seniorityRules {
		patterns = append(patterns, strings.Split(rule.patterns, ",")...)
	}
	for _, pattern := range patterns {
		word := strings.Trim(strings.TrimSpace(pattern), "*")
		if len(strings.Fields(string(appendFolded(nil, word)))) > 3 || word == "" {
			t.Errorf("pattern %q can never match", pattern)
		}
	}
}

func TestOnlyTheBeginningOfATitleIsRead(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é ", 100_000) + "CEO"
	if got := Seniority(long); got != rankContributor {
		t.Errorf("Seniority of an endless title = %d", got)
	}
	if got := Department("Vertriebsleiter " + strings.Repeat("ü", 200)); got != "sales" {
		t.Errorf("Department of a long title = %q", got)
	}
}

func FuzzTitles(f *testing.F) {
	for _, seed := range []string{"CEO", "Geschäftsführer", "Head of R&D", "\xff", "ﷺ", "a  b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, title string) {
		if rank := Seniority(title); rank < rankUnknown || rank > rankChief {
			t.Errorf("Seniority(%q) = %d", title, rank)
		}
		if Department(title) != Department(strings.ToValidUTF8(title, "\uFFFD")) && len(title) < maxTitle/3 {
			t.Errorf("Department(%q) depends on broken bytes", title)
		}
	})
}

func BenchmarkTitles(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Department("Senior Product Marketing Manager")
		Seniority("Senior Product Marketing Manager")
	}
}
