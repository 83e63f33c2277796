package importfile

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"usersync/internal/usersync"
)

// These faults of a record are words that follow the number of its line.
const (
	faultOpen   = "has a quoted field that is not closed"
	faultBehind = "has text behind a closing quote"
)

// delimiters are the delimiters that are looked for, the most usual first.
const delimiters = ",;\t"

// record is one record that is being read. It follows RFC 4180, but a quote within a
// field that does not begin with a quote is an ordinary character.
type record struct {
	delimiter byte
	fields    []string
	field     strings.Builder // what was read of a quoted field
	open      bool            // the field goes on in the next line
}

// feed reads the next line of the record. The record is complete unless open.
func (r *record) feed(text string) (fault string) {
	at := 0
	if r.open {
		r.field.WriteByte('\n')
		if at, fault = r.quoted(text, 0); fault != "" || r.open {
			return fault
		}
	}
	for at < len(text) || len(r.fields) == 0 {
		if len(r.fields) > 0 {
			at++ // the delimiter
		}
		if at, fault = r.next(text, at); fault != "" || r.open {
			return fault
		}
	}
	return ""
}

// next reads one field and returns where it ended.
func (r *record) next(text string, at int) (end int, fault string) {
	start := at
	for start < len(text) && text[start] == ' ' {
		start++
	}
	if start < len(text) && text[start] == '"' {
		r.field.Reset()
		return r.quoted(text, start+1)
	}
	end = strings.IndexByte(text[at:], r.delimiter)
	if end < 0 {
		end = len(text) - at
	}
	r.fields = append(r.fields, text[at:at+end])
	return at + end, ""
}

// quoted reads the rest of a quoted field.
func (r *record) quoted(text string, at int) (end int, fault string) {
	for {
		quote := strings.IndexByte(text[at:], '"')
		if quote < 0 {
			r.field.WriteString(text[at:])
			r.open = true
			return len(text), ""
		}
		r.field.WriteString(text[at : at+quote])
		at += quote + 1
		if at == len(text) || text[at] != '"' {
			break
		}
		r.field.WriteByte('"')
		at++
	}
	r.open = false
	r.fields = append(r.fields, r.field.String())
	for at < len(text) && text[at] == ' ' {
		at++
	}
	if at < len(text) && text[at] != r.delimiter {
		return at, faultBehind
	}
	return at, ""
}

// column says what one column of a file holds. That is a field, or something else
// under the column's own name.
type column struct {
	field Field
	name  string
}

type csvReader struct {
	*lines
	delimiter byte
	columns   []column
	others    bool
}

// openCSV reads the header.
func openCSV(l *lines, o Options) (*csvReader, []string, error) {
	c := &csvReader{lines: l, others: o.Others}
	header, err := c.header(namesOf(o.Fields))
	if err != nil {
		return nil, nil, fmt.Errorf("read the names of the columns: %w", err)
	}
	columns, ignored := assign(header, namesOf(o.Fields))
	c.columns = columns
	for _, column := range columns {
		if column.field == Email {
			return c, ignored, nil
		}
	}
	return nil, nil, usersync.Errorf(usersync.CodeInvalid, "No column holds e-mail addresses; the first line names: %s.", shown(header))
}

// maxPreamble is in how many of the first lines the names of the columns are looked
// for: some programs write a title or notes before them.
const maxPreamble = 10

// header returns the names of the columns: those of the line that has most known names,
// one of an address among them, or else of the first line. It chooses the delimiter by
// which most names are known, or else the one that makes most columns.
func (c *csvReader) header(known names) ([]string, error) {
	first, err := c.firstLine()
	if err != nil {
		return nil, err
	}
	among := delimiters
	if rest, ok := strings.CutPrefix(strings.ToLower(strings.Trim(strings.TrimSpace(first.text), `"`)), "sep="); ok && len(rest) == 1 {
		// Spreadsheet programs write and read this line.
		among = rest
		if first, err = c.firstLine(); err != nil {
			return nil, err
		}
	}
	ahead, err := c.aheadOf(first)
	if err != nil {
		return nil, err
	}
	start, best := 0, -1
	for i, one := range ahead {
		score, delimiter := rate(one.text, among, known)
		if i == 0 || score >= withEmail && score > best {
			start, best, c.delimiter = i, score, delimiter
		}
	}
	c.back(ahead[start:])
	return c.headerRecord()
}

// aheadOf returns the first line and those behind it in which the names of the columns
// may stand.
func (c *csvReader) aheadOf(first line) ([]line, error) {
	ahead := []line{first}
	for len(ahead) < maxPreamble {
		one, err := c.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		ahead = append(ahead, one)
	}
	return ahead, nil
}

// withEmail is the least score of a line that names a column of addresses: a file
// without is of no use.
const withEmail = maxLine * maxLine

// rate says how much a line looks like the names of columns, and parted by which of
// the delimiters.
func rate(text, among string, known names) (best int, delimiter byte) {
	best = -1
	for _, d := range []byte(among) {
		r := record{delimiter: d}
		_ = r.feed(text) // a fault is reported when the header is read
		score, email := len(r.fields), 0
		for _, name := range r.fields {
			m, ok := known.find(name)
			if ok {
				score += maxLine
			}
			if ok && m.field == Email {
				email = withEmail
			}
		}
		if score += email; score > best {
			best, delimiter = score, d
		}
	}
	return best, delimiter
}

var errEmpty = usersync.Errorf(usersync.CodeInvalid, "The file is empty.")

func (c *csvReader) firstLine() (line, error) {
	for {
		one, err := c.next()
		if errors.Is(err, io.EOF) {
			return one, errEmpty
		}
		if err != nil || one.fault != "" || strings.TrimSpace(one.text) != "" {
			return one, err
		}
	}
}

func (c *csvReader) headerRecord() ([]string, error) {
	for {
		fields, _, fault, err := c.record()
		switch {
		case errors.Is(err, io.EOF):
			return nil, errEmpty
		case err != nil:
			return nil, err
		case fault != "":
			return nil, usersync.Errorf(usersync.CodeInvalid, "The first line, which names the columns, %s.", fault)
		case !blank(fields):
			return fields, nil
		}
	}
}

// assign says what each column holds. If two columns fit one field, the one with the
// surer name gets it.
func assign(header []string, known names) (columns []column, ignored []string) {
	columns = make([]column, len(header))
	best := map[Field]int{}
	for i, name := range header {
		columns[i].name = strings.TrimSpace(name)
		m, ok := known.find(name)
		if !ok {
			continue
		}
		before, taken := best[m.field]
		if taken {
			if other, _ := known.find(header[before]); other.rank <= m.rank {
				continue
			}
			columns[before].field = ""
		}
		best[m.field] = i
		columns[i].field = m.field
	}
	for _, c := range columns {
		if c.field == "" && c.name != "" {
			ignored = append(ignored, c.name)
		}
	}
	return columns, ignored
}

// shown lists names for a message. It bounds the list, because a message must not
// grow with the file.
func shown(header []string) string {
	const most, longest = 20, 40
	var out []string
	for i, name := range header {
		if i == most {
			out = append(out, "…")
			break
		}
		out = append(out, short(strings.TrimSpace(name), longest))
	}
	return strings.Join(out, ", ")
}

func short(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// record reads the next record and the number of its first line.
func (c *csvReader) record() (fields []string, number int64, fault string, err error) {
	one, err := c.next()
	if err != nil {
		return nil, 0, "", err
	}
	number = c.number
	if one.fault != "" {
		return nil, number, one.fault, nil
	}
	r := record{delimiter: c.delimiter}
	fault = r.feed(one.text)
	var more []line
	for size := len(one.text); fault == "" && r.open; {
		one, err := c.next()
		if errors.Is(err, io.EOF) {
			fault = faultOpen
			break
		}
		if err != nil {
			return nil, 0, "", fmt.Errorf("read the lines of a quoted field: %w", err)
		}
		more = append(more, one)
		if size += len(one.text) + 1; size > maxLine || one.fault != "" || one.given >= maxGiven {
			fault = faultOpen
			break
		}
		fault = r.feed(one.text)
	}
	if fault != "" {
		// Only the first line is certainly wrong, so reading goes on behind it.
		c.back(more)
	}
	return r.fields, number, fault, nil
}

func (c *csvReader) row() (Row, error) {
	for {
		fields, number, fault, err := c.record()
		switch {
		case err != nil:
			return Row{}, err
		case fault != "":
			return Row{}, &LineError{Line: number, Message: fault}
		case blank(fields):
			continue
		case len(fields) > len(c.columns) && !blank(fields[len(c.columns):]):
			return Row{}, &LineError{Line: number, Message: fmt.Sprintf("has %d fields; the header names %d", len(fields), len(c.columns))}
		}
		return c.fill(number, fields), nil
	}
}

func (c *csvReader) fill(number int64, fields []string) Row {
	row := Row{Line: number, Values: make(map[Field]string, len(c.columns))}
	for i, column := range c.columns[:min(len(fields), len(c.columns))] { // programs leave out the last empty cells
		value := strings.TrimSpace(fields[i])
		switch {
		case value == "":
		case column.field != "":
			row.Values[column.field] = value
		case c.others && column.name != "":
			if row.Others == nil {
				row.Others = map[string]any{}
			}
			row.Others[column.name] = value
		}
	}
	return row
}

func blank(fields []string) bool {
	for _, f := range fields {
		if strings.TrimSpace(f) != "" {
			return false
		}
	}
	return true
}
