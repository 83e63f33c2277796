package directory

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"usersync/internal/importfile"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Service receives uploads and saves their people.
type Service struct {
	Store *store.Store
	// Turn is how long an import runs before the imports of other organizations get
	// their turn. It bounds how long they wait, and how long a shutdown takes. 0 means 3 s.
	Turn time.Duration
	// MaxLines bounds the lines of a file, blank ones included. 0 means 1,000,000.
	MaxLines int64
}

// Upload is a file that a client is sending.
type Upload struct {
	Body        io.Reader
	Format      importfile.Format
	Charset     string // as declared; "" when it was not
	Actor       string // who uploads it, for the audit log
	Traceparent string
}

// Bounds of a chunk. The number of lines keeps its transaction short, and the number
// of bytes bounds the memory when lines are long.
const (
	chunkLines = 500
	chunkBytes = 1 << 20
)

// defaultMaxLines bounds the lines of a file. A line costs work however short it is, so
// that the bound in bytes alone would let a file of one-letter lines take as long as
// thirty ordinary ones. A file of 64 MiB has fewer lines when they say more than an
// address.
const defaultMaxLines = 1_000_000

// chunkLine is a line as a chunk stores it. The names are short because a file can
// have millions of lines.
type chunkLine struct {
	Line        int64  `json:"l"`
	Email       string `json:"e,omitempty"`
	Name        string `json:"n,omitempty"`
	JobTitle    string `json:"j,omitempty"`
	Country     string `json:"c,omitempty"`
	CompanyName string `json:"o,omitempty"`
	Website     string `json:"w,omitempty"`
	Photo       string `json:"p,omitempty"`
}

func (l chunkLine) size() int {
	const frame = 64
	return frame + len(l.Email) + len(l.Name) + len(l.JobTitle) + len(l.Country) + len(l.CompanyName) + len(l.Website) + len(l.Photo)
}

var errNoLines = usersync.Errorf(usersync.CodeInvalid, "The file has no lines that say anything.")

// Receive reads an upload to its end and returns the import that was made of
// it. When it fails nothing is left. An error of code invalid is about the file.
func (s *Service) Receive(ctx context.Context, org *store.Org, u Upload) (Import, error) {
	file, err := importfile.Open(u.Body, importfile.Options{Format: u.Format, Charset: u.Charset, Fields: importfile.People, MaxLines: cmp.Or(s.MaxLines, defaultMaxLines)})
	if err != nil {
		return Import{}, fmt.Errorf("open the file: %w", err)
	}
	r := &receipt{ctx: ctx, org: org, cleaner: s.Store.Org(org.ID()), upload: u, file: file}
	made, err := r.receive()
	if err != nil {
		return Import{}, errors.Join(err, r.drop())
	}
	return made, nil
}

// receipt is an upload being received.
type receipt struct {
	ctx context.Context
	org *store.Org
	// cleaner removes what is left of an upload whose caller may write no more.
	cleaner *store.Org
	upload  Upload
	file    *importfile.Reader

	id      string // "" until the first chunk is stored
	number  int
	count   int64
	lines   []chunkLine
	bytes   int
	refused []ImportError
}

func (r *receipt) receive() (Import, error) {
	for { //lint:loop stores a chunk as soon as it is full
		row, err := r.file.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if wrong, ok := errors.AsType[*importfile.LineError](err); ok {
			r.refused = append(r.refused, ImportError{Line: wrong.Line, Field: string(wrong.Field), Message: wrong.Message})
		} else if err != nil {
			return Import{}, fmt.Errorf("read the file: %w", err)
		} else {
			r.add(row)
		}
		r.count++
		if len(r.lines)+len(r.refused) < chunkLines && r.bytes < chunkBytes {
			continue
		}
		if err := r.store(); err != nil {
			return Import{}, fmt.Errorf("store a chunk: %w", err)
		}
	}
	return r.complete()
}

func (r *receipt) add(row importfile.Row) {
	v := row.Values
	l := chunkLine{
		Line: row.Line, Email: v[importfile.Email], Name: v[importfile.Name], JobTitle: v[importfile.JobTitle], Country: v[importfile.Country],
		CompanyName: v[importfile.CompanyName], Website: v[importfile.Website], Photo: v[importfile.Photo],
	}
	if l.Name == "" {
		l.Name = strings.TrimSpace(v[importfile.FirstName] + " " + v[importfile.LastName])
	}
	r.lines = append(r.lines, l)
	r.bytes += l.size()
}

// store writes what was read since the last time.
func (r *receipt) store() (err error) {
	if r.id == "" {
		if r.id, err = BeginImport(r.ctx, r.org, r.upload.Actor, string(r.file.Format())); err != nil {
			return fmt.Errorf("begin the import: %w", err)
		}
	}
	chunk := Chunk{Number: r.number, Refused: r.refused}
	if len(r.lines) > 0 {
		if chunk.Body, err = json.Marshal(r.lines); err != nil {
			return fmt.Errorf("encode a chunk: %w", err)
		}
	}
	if err := AddChunk(r.ctx, r.org, r.id, chunk); err != nil {
		return fmt.Errorf("add chunk %d: %w", r.number, err)
	}
	r.number++
	r.lines, r.refused, r.bytes = r.lines[:0], r.refused[:0], 0
	return nil
}

func (r *receipt) complete() (Import, error) {
	if r.count == 0 {
		return Import{}, errNoLines
	}
	if len(r.lines)+len(r.refused) > 0 {
		if err := r.store(); err != nil {
			return Import{}, fmt.Errorf("store the last chunk: %w", err)
		}
	}
	totals := Totals{Lines: r.count, Encoding: r.file.Encoding(), Ignored: r.file.Ignored()}
	return CompleteImport(r.ctx, r.org, r.id, totals, task(r.org.ID(), r.upload.Traceparent, Args{ImportID: r.id}))
}

// dropWithin bounds the removal of what a failed upload left behind. The relay removes
// the rest later, see DropAbandonedImports.
const dropWithin = 10 * time.Second

func (r *receipt) drop() error {
	if r.id == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), dropWithin)
	defer cancel()
	return DropImport(ctx, r.cleaner, r.id)
}
