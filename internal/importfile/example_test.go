package importfile_test

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"usersync/internal/importfile"
)

// A file may be CSV or NDJSON, in the usual encodings and with the usual names of
// columns. A wrong line is reported by its number, and reading goes on.
func ExampleReader() {
	file := "E-Mail;Vorname;Nachname;Shoe size\n" +
		"jane.roe@acme.example.com;Jane;Roe;39\n" +
		"john.doe@acme.example.com;John;Doe;44;45\n" +
		"\"max@acme.example.com;Max;Muster;44\n"
	rows, err := importfile.Open(strings.NewReader(file), importfile.Options{Fields: importfile.Users})
	if err != nil {
		fmt.Println(err)
		return
	}
	for {
		row, err := rows.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if wrong, ok := errors.AsType[*importfile.LineError](err); ok {
			fmt.Println(wrong)
			continue
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(row.Line, row.Values[importfile.Email], row.Values[importfile.FirstName])
	}
	fmt.Println(rows.Format(), rows.Ignored())
	// Output:
	// 2 jane.roe@acme.example.com Jane
	// line 3 has 5 fields; the header names 4
	// line 4 has a quoted field that is not closed
	// csv [Shoe size]
}
