package identity

import (
	"encoding/csv"
	"errors"
	"io/fs"
	"os"
	"testing"
)

// countryTable is a public table of countries (PDDL) that lies beside the repository.
const countryTableFile = "../../../shared/data/country-codes.csv"

// namesColumns are the columns of the table that hold names of countries.
var namesColumns = []string{
	"official_name_en", "official_name_fr", "official_name_es", "official_name_ru", "official_name_ar", "official_name_cn",
	"UNTERM English Short", "UNTERM English Formal", "UNTERM French Short", "UNTERM French Formal", "UNTERM Spanish Short", "UNTERM Spanish Formal",
	"UNTERM Russian Short", "UNTERM Russian Formal", "UNTERM Arabic Short", "UNTERM Arabic Formal", "UNTERM Chinese Short", "UNTERM Chinese Formal",
	"CLDR display name", "ISO4217-currency_country_name",
}

func TestEveryOfficialNameIsItsCountry(t *testing.T) {
	t.Parallel()
	file, err := os.Open(countryTableFile)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("%s is not there", countryTableFile)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	names := 0
	for _, row := range rows[1:] {
		want := row[column["ISO3166-1-Alpha-2"]]
		for _, name := range namesColumns {
			at, ok := column[name]
			if !ok {
				t.Fatalf("the table has no column %s", name)
			}
			if row[at] == "" {
				continue
			}
			names++
			if got, _ := ParseCountry(row[at]); got != want {
				t.Errorf("%s: %q is %q, want %s", name, row[at], got, want)
			}
		}
	}
	if names < 4000 {
		t.Errorf("%d names were tried", names)
	}
}
