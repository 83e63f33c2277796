package api

import (
	"bufio"
	"fmt"
	"io"

	"usersync/internal/importfile"
)

// streamBuffer is how much of a streamed answer is held back: an error within
// it is still answered as one.
const streamBuffer = 32 << 10

// WriteStream answers 200 with a body that write makes piece by piece. An error
// after the first bytes cuts the connection, as that of any handler does.
func (c *Call) WriteStream(mediaType string, write func(io.Writer) error) error {
	c.Header().Set("Content-Type", mediaType)
	out := bufio.NewWriterSize(c.Response(), streamBuffer)
	err := write(out)
	if err == nil {
		err = out.Flush()
	}
	if err == nil {
		return nil
	}
	if !c.Response().Committed {
		c.Header().Del("Content-Type")
		c.Header().Del("Content-Disposition")
	}
	return err
}

// WriteCSV answers 200 with a CSV file of that name: a line of headings, and the
// lines that fill writes one by one. No cell of it can be a formula. It is otherwise
// like WriteStream.
func (c *Call) WriteCSV(name string, headings []string, fill func(write func(line []string) error) error) error {
	c.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	return c.WriteStream("text/csv; charset=utf-8", func(out io.Writer) error {
		var text []byte
		write := func(line []string) error {
			text = importfile.AppendCSV(text[:0], line...)
			_, err := out.Write(text)
			return err
		}
		if err := write(headings); err != nil {
			return fmt.Errorf("write the headings: %w", err)
		}
		return fill(write)
	})
}
