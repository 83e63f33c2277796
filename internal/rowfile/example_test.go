package rowfile_test

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"usersync/internal/rowfile"
)

// A file may be CSV or NDJSON, in the usual encodings and with the usual names of
// columns. A line that is wrong is told by its number, and reading goes on.
func ExampleReader() {
	file := "E-Mail;Vorname;Nachname;Shoe size\n" +
		"jane.roe@acme.example.com;Jane;Roe;39\n" +
		"john.doe@acme.example.com;John\n" +
		"\"max@acme.example.com;Max;Muster;44\n"
	rows, err := rowfile.Open(strings.NewReader(file), rowfile.Options{Fields: rowfile.Users})
	if err != nil {
		fmt.Println(err)
		return
	}
	for {
		row, err := rows.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if wrong, ok := errors.AsType[*rowfile.LineError](err); ok {
			fmt.Println(wrong)
			continue
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(row.Line, row.Values[rowfile.Email], row.Values[rowfile.FirstName])
	}
	fmt.Println(rows.Format(), rows.Ignored())
	// Output:
	// 2 jane.roe@acme.example.com Jane
	// line 3 has 2 fields; the first line names 4
	// line 4 has a quoted field that is not closed
	// csv [Shoe size]
}
