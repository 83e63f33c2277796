package importfile

import (
	"fmt"
	"io"
)

// Format is the format of a file.
type Format string

// The formats.
const (
	CSV    Format = "csv"    // with a header, separated by comma, semicolon or tab
	NDJSON Format = "ndjson" // one JSON object a line
)

// Options say what a file is and what is wanted of it.
type Options struct {
	// Format of the file. "" means that the beginning of the file decides.
	Format Format
	// Charset that was declared. "" means that the bytes decide. A byte order mark
	// has precedence over both.
	Charset string
	// Fields that columns are matched with.
	Fields []Field
	// Others says that values of columns that belong to no field are kept.
	Others bool
	// MaxLines bounds the lines of the file, blank ones included. A longer file ends
	// with an error of code invalid. 0 means no bound.
	MaxLines int64
}

// Row is what one line, or one record of several, says.
type Row struct {
	// Line is the number of its first line in the file, counted from 1.
	Line int64
	// Values are the fields that are not empty, trimmed.
	Values map[Field]string
	// Others are the values of other columns by name. They are texts, or any value if
	// the file is NDJSON.
	Others map[string]any
}

// LineError says what is wrong with one line. It never quotes what the line holds.
type LineError struct {
	Line int64
	// Field is the field with the fault, or "" if the whole line is wrong.
	Field   Field
	Message string
}

// Error returns the line, the field and the fault.
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

// Open finds the format and encoding of a file, and reads the names of its columns.
// An error of code invalid is about the file as a whole. Other errors come from the
// source.
func Open(from io.Reader, o Options) (*Reader, error) {
	s, err := open(from, o.Charset)
	if err != nil {
		return nil, fmt.Errorf("find the encoding of the file: %w", err)
	}
	l := newLines(s, o.MaxLines)
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
		return nil, fmt.Errorf("open the CSV file: %w", err)
	}
	r.rows, r.ignored = c, func() []string { return ignored }
	return r, nil
}

// Next returns the next row, or io.EOF at the end. After a *LineError the caller may
// go on reading. Any other error is final: it comes from the source, or says that the
// file has too many lines.
func (r *Reader) Next() (Row, error) { return r.rows.row() }

// Format returns the format of the file.
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

// Ignored returns the names of the columns that belong to no field, as far as the
// file was read. It returns at most 50.
func (r *Reader) Ignored() []string {
	var out []string
	for _, name := range r.ignored() {
		if len(out) < maxIgnored {
			out = append(out, short(name, maxIgnored))
		}
	}
	return out
}
