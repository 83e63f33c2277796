package importfile

import (
	"fmt"
	"io"
)

// Format is a way to write rows down.
type Format string

// The formats.
const (
	CSV    Format = "csv"    // with a header, separated by comma, semicolon or tab
	NDJSON Format = "ndjson" // one JSON object a line
)

// Options say what a file is and what is wanted of it.
type Options struct {
	// Format of the file; "" to tell it from its beginning.
	Format Format
	// Charset as it was declared; "" to tell it from the bytes. A byte order
	// mark goes before both.
	Charset string
	// Fields that columns are matched with.
	Fields []Field
	// Others keeps what is in columns that are no field's.
	Others bool
}

// Row is what one line, or one record of several, says.
type Row struct {
	// Line is the number of its first line in the file, counted from 1.
	Line int64
	// Values are the fields that are not empty, trimmed.
	Values map[Field]string
	// Others are the rest by name: texts, from NDJSON any value.
	Others map[string]any
}

// LineError says what is wrong with one line. It never quotes what the line holds.
type LineError struct {
	Line int64
	// Field is where the fault is; "" for the line as a whole.
	Field   Field
	Message string
}

// Error names line, field and fault.
func (e *LineError) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("line %d %s", e.Line, e.Message)
	}
	return fmt.Sprintf("line %d: %s %s", e.Line, e.Field, e.Message)
}

// Reader reads the rows of one file, in bounded memory.
type Reader struct {
	format  Format
	source  *source
	rows    interface{ row() (Row, error) }
	ignored func() []string
}

// Open finds out how a file is written, and reads the names of its columns. An
// error of code invalid is about the file as a whole; others are the source's.
func Open(from io.Reader, o Options) (*Reader, error) {
	s, err := open(from, o.Charset)
	if err != nil {
		return nil, err
	}
	l := newLines(s)
	r := &Reader{format: o.Format, source: s}
	if r.format == "" {
		r.format = CSV
		if isNDJSON(l) {
			r.format = NDJSON
		}
	}
	if r.format == NDJSON {
		n := openNDJSON(l, o)
		r.rows, r.ignored = n, func() []string { return n.ignored }
		return r, nil
	}
	c, ignored, err := openCSV(l, o)
	if err != nil {
		return nil, err
	}
	r.rows, r.ignored = c, func() []string { return ignored }
	return r, nil
}

// Next returns the next row, io.EOF at the end. After a *LineError reading
// goes on; any other error is the source's and final.
func (r *Reader) Next() (Row, error) { return r.rows.row() }

// Format returns how the file is written.
func (r *Reader) Format() Format { return r.format }

// Encoding returns the name of the file's encoding, as far as it was read.
func (r *Reader) Encoding() string {
	if r.source.name == "" {
		return utf8Name
	}
	return r.source.name
}

// maxIgnored bounds how many names Ignored returns.
const maxIgnored = 50

// Ignored returns the names of the columns that are no field's, as far as the
// file was read, at most 50.
func (r *Reader) Ignored() []string {
	var out []string
	for _, name := range r.ignored() {
		if len(out) < maxIgnored {
			out = append(out, short(name, maxIgnored))
		}
	}
	return out
}
