package identity

import (
	"strings"
	"testing"

	"github.com/biter777/countries"
)

//nolint:misspell // other languages
func TestParseCountryKnows(t *testing.T) {
	t.Parallel()
	for alpha2, names := range map[string]string{
		"US": "US|us|USA|usa|U.S.|U.S.A.|United States|united states of america|The United States of America|Vereinigte Staaten|États-Unis|Estados Unidos|EE.UU.|США|アメリカ合衆国|美国",
		"GB": "GB|UK|U.K.|GBR|United Kingdom|the united kingdom|Great Britain|Britain|England|Scotland|Wales|Northern Ireland|Royaume-Uni|United Kingdom of Great Britain and Northern Ireland|英国",
		"DE": "DE|DEU|Germany|Germany (DE)|Deutschland (Germany)|germany|GERMANY| Germany |Deutschland|Allemagne|Alemania|Duitsland|Germania|Alemanha|Niemcy|Tyskland|ドイツ|德国",
		"NL": "NL|NLD|Netherlands|The Netherlands|Netherlands, The|Holland|Nederland|Niederlande|Pays-Bas|Países Bajos",
		"KR": "KR|KOR|South Korea|Korea, South|Republic of Korea|Korea, Republic of|Korea (Republic of)|대한민국|한국|Südkorea",
		"KP": "KP|PRK|North Korea|DPRK|Korea, Democratic People's Republic of|Democratic People's Republic of Korea",
		"CZ": "CZ|CZE|Czechia|Czech Republic|The Czech Republic|Česko|Česká republika|Tschechien",
		"VN": "VN|VNM|Vietnam|Viet Nam|Viet-Nam|VIETNAM|Việt Nam",
		"TR": "TR|TUR|Turkey|Türkiye|Turkiye|TÜRKİYE|Türkei|Tuerkei|Republic of Türkiye",
		"CI": "CI|CIV|Ivory Coast|Côte d'Ivoire|Cote d’Ivoire|COTE D'IVOIRE|Cote d Ivoire|Elfenbeinküste",
		"ES": "ES|ESP|Spain|España|Espana|Spanien|Espagne|Spagna",
		"JP": "JP|JPN|Japan|日本|Japon|Giappone|ＪＡＰＡＮ",
		"CN": "CN|CHN|China|PR China|People's Republic of China|中国|中國|Chine",
		"TW": "TW|TWN|Taiwan|Taiwan, Province of China|Republic of China|台灣|台湾",
		"HK": "HK|HKG|Hong Kong|Hong Kong SAR China|香港",
		"RU": "RU|RUS|Russia|Russian Federation|Россия|Russland",
		"GE": "GE|GEO|Georgia|Georgien",
		"CH": "CH|CHE|Switzerland|Schweiz|Suisse|Svizzera",
		"AT": "AT|AUT|Austria|Österreich|Oesterreich|Autriche",
		"AU": "AU|AUS|Australia|Australien",
		"AE": "AE|ARE|UAE|U.A.E.|United Arab Emirates",
		"CD": "CD|COD|DR Congo|DRC|Congo, the Democratic Republic of the|Democratic Republic of the Congo|Congo - Kinshasa",
		"CG": "CG|COG|Congo|Republic of the Congo|Congo-Brazzaville",
		"MK": "MK|MKD|Macedonia|North Macedonia|Republic of North Macedonia",
		"SZ": "SZ|SWZ|Swaziland|Eswatini",
		"MM": "MM|MMR|Burma|Myanmar|Myanmar (Burma)",
		"CV": "CV|CPV|Cape Verde|Cabo Verde",
		"TL": "TL|TLS|East Timor|Timor-Leste",
		"BS": "BS|BHS|Bahamas|The Bahamas|Bahamas, The",
		"GM": "GM|GMB|Gambia|The Gambia|Gambia (The)",
		"BA": "BA|BIH|Bosnia and Herzegovina|Bosnia & Herzegovina|Bosnia",
		"TT": "TT|TTO|Trinidad and Tobago|Trinidad & Tobago",
		"KN": "KN|KNA|Saint Kitts and Nevis|St. Kitts & Nevis|St Kitts and Nevis",
		"LC": "LC|LCA|Saint Lucia|St. Lucia|St Lucia",
		"VI": "VI|VIR|U.S. Virgin Islands|Virgin Islands, U.S.",
		"VG": "VG|VGB|British Virgin Islands|Virgin Islands, British",
		"GN": "GN|GIN|Guinea",
		"GW": "GW|GNB|Guinea-Bissau|Guinea Bissau",
		"GQ": "GQ|GNQ|Equatorial Guinea",
		"PG": "PG|PNG|Papua New Guinea",
		"NE": "NE|NER|Niger",
		"NG": "NG|NGA|Nigeria",
		"DM": "DM|DMA|Dominica",
		"DO": "DO|DOM|Dominican Republic|República Dominicana",
		"SD": "SD|SDN|Sudan",
		"SS": "SS|SSD|South Sudan",
		"WS": "WS|WSM|Samoa",
		"AS": "AS|ASM|American Samoa",
		"NA": "NA|NAM|Namibia",
		"IE": "IE|IRL|Ireland|Republic of Ireland|Éire",
		"IS": "IS|ISL|Iceland|Ísland|Island",
		"JE": "JE|JEY|Jersey",
		"XK": "XK|XKX|Kosovo",
		"BR": "BR|BRA|Brazil|Brasil|Brésil",
		"MX": "MX|MEX|Mexico|México",
		"IT": "IT|ITA|Italy|Italia|Italien",
		"PL": "PL|POL|Poland|Polska",
		"SE": "SE|SWE|Sweden|Sverige",
		"GR": "GR|GRC|EL|Greece|Ελλάδα|Hellas",
		"IN": "IN|IND|India|भारत|Indien",
		"EG": "EG|EGY|Egypt|مصر",
		"IL": "IL|ISR|Israel|ישראל",
		"UA": "UA|UKR|Ukraine|Україна",
		"TH": "TH|THA|Thailand|ไทย",
		"PS": "PS|PSE|Palestine|State of Palestine",
		"VA": "VA|VAT|Vatican City|Holy See",
		"IR": "IR|IRN|Iran|Iran, Islamic Republic of|Iran (Islamic Republic of)",
		"AX": "AX|ALA|Åland Islands|Aland Islands",
	} {
		for name := range strings.SplitSeq(names, "|") {
			if got, ok := ParseCountry(name); !ok || got != alpha2 {
				t.Errorf("ParseCountry(%q) = %q, %v; want %s", name, got, ok, alpha2)
			}
		}
	}
}

func TestTheFormOfAStateDoesNotMatterWhereverItStands(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Moldova (the Republic of)": "MD", "Netherlands (Kingdom of the)": "NL", "China, Hong Kong Special Administrative Region": "HK", "Yemen, Rep.": "YE",
		"Micronesia, Fed. Sts.": "FM", "Venezuela, RB": "VE", "Taiwan, China": "TW", "the Republic of Italy": "IT", "Republic of Serbia": "RS", "S. Korea": "KR",
		"Rep. of Ireland": "IE", "Egypt, Arab Rep.": "EG", "Iran, Islamic Rep.": "IR", "Bahamas (the)": "BS", "Italy (Republic of)": "IT", "ITALY, REPUBLIC OF": "IT",
		"Korea (the Democratic People's Republic of)": "KP", "Congo, Dem. Rep.": "CD", "Congo, Rep.": "CG", "Congo (the Democratic Republic of the)": "CD",
		"República de Chile": "CL", "la République de Côte d'Ivoire": "CI", "Reino de España": "ES", "Республика Беларусь": "BY", "Королевство Бахрейн": "BH",
		"Lao PDR": "LA", "Gambia, The": "GM", "Kyrgyz Republic": "KG", "Slovak Republic": "SK", "Syrian Arab Republic": "SY",
	} {
		if got, _ := ParseCountry(name); got != want {
			t.Errorf("ParseCountry(%q) = %q, want %s", name, got, want)
		}
	}
	for _, name := range []string{"Republic", "the Republic of", "Kingdom", "Democratic Republic", "Federal States", "State of Georgia", "Republic of Korea (Malta)",
		"State of New York", "Kingdom of Europe", "Democratic Korea", "People's Congo"} {
		if got, ok := ParseCountry(name); ok {
			t.Errorf("ParseCountry(%q) = %q, want unknown", name, got)
		}
	}
}

func TestParseCountryDoesNotGuess(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"", " ", "x", "Unitedd Statess", "Germny", "Deutschlan", "German", "Spanish", "Korea", "Virgin Islands", "America", "Kongo", "Čad", "Guiana",
		"Europe", "EU", "Asia", "California", "New York", "New Jersey", "New Mexico", "Tbilisi", "N/A", "N.A.", "n/a", "none", "null", "undefined",
		"unknown", "ZZ", "AA", "XX", "QQ", "ZZZ", "D E", "D.E.", "-", "??", "276", "127.0.0.1", "AN", "ANT", "YU", "YUG", "SU", "\x00", "D\x00", "\xff\xfe",
		"Guinea (Malta)", "Germany (France)", "Germany (DE) (DE)", "Germany (the best)",
		"Germany\x00x", "United States of", "States", "United", "Republic of", "The", strings.Repeat("Germany ", 1000),
	} {
		if got, ok := ParseCountry(in); ok || got != "" {
			t.Errorf("ParseCountry(%q) = %q, %v; want unknown", in, got, ok)
		}
	}
}

func TestParseCountryKnowsEveryCodeAndItsName(t *testing.T) {
	t.Parallel()
	for _, country := range countries.All() {
		want := country.Alpha2()
		if formerCountries[want] {
			continue
		}
		for _, in := range []string{want, strings.ToLower(want), country.Alpha3(), country.String(), strings.ToUpper(country.String())} {
			if got, ok := ParseCountry(in); !ok || got != want {
				t.Errorf("ParseCountry(%q) = %q, %v; want %s", in, got, ok, want)
			}
		}
	}
}

func TestUsualCountryNamesNameKnownCountriesOnce(t *testing.T) {
	t.Parallel()
	codes := countryTable().codes
	for folded, alpha2 := range namesIn(usualCountryNames) {
		if alpha2 != "" && codes[alpha2] != alpha2 {
			t.Errorf("%q stands for %q, which is no code", folded, alpha2)
		}
	}
	lines := make(map[string]bool)
	for line := range strings.Lines(usualCountryNames) {
		code, names, _ := strings.Cut(strings.TrimSpace(line), " ")
		if code != "" && lines[code] {
			t.Errorf("%s has two lines", code)
		}
		lines[code] = true
		for name := range strings.SplitSeq(names, ";") {
			if got, ok := ParseCountry(name); name != "" && code != sharedName && (!ok || got != code) {
				t.Errorf("ParseCountry(%q) = %q, %v; want %s", name, got, ok, code)
			}
		}
	}
}

func TestParseCountryDoesNotAllocateForCodesAndEnglishNames(t *testing.T) {
	for _, in := range []string{"de", "DEU", "Germany", "United States of America"} {
		if n := testing.AllocsPerRun(100, func() { ParseCountry(in) }); n > 0 {
			t.Errorf("ParseCountry(%q) allocates %v times, want 0", in, n)
		}
	}
}

func FuzzParseCountry(f *testing.F) {
	for _, seed := range []string{"US", "Germany", "Türkiye", "日本", "Bahamas, The", "\xff", "the ", "&", "İ", strings.Repeat("ﷺ", 53)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		alpha2, ok := ParseCountry(in)
		if ok != (alpha2 != "") {
			t.Fatalf("ParseCountry(%q) = %q, %v", in, alpha2, ok)
		}
		if !ok {
			return
		}
		for _, again := range []string{alpha2, strings.ToLower(alpha2), " " + in + "\t"} {
			if got, ok := ParseCountry(again); !ok || got != alpha2 {
				t.Errorf("ParseCountry(%q) = %q, but %q gives %q", in, alpha2, again, got)
			}
		}
	})
}

func BenchmarkParseCountry(b *testing.B) {
	for name, in := range map[string]string{"code": "DE", "name": "United States of America", "native": "Österreich", "unknown": "Unitedd Statess"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ParseCountry(in)
			}
		})
	}
}
