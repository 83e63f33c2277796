package importfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"usersync/internal/usersync"
)

const (
	// maxLine bounds a line, and a record of several lines, in bytes.
	maxLine = 64 << 10
	// bufferSize holds the longest line with its end.
	bufferSize = maxLine + 2
)

// These faults of a line are words that follow its number.
const (
	faultTooLong  = "is longer than 64 KiB"
	faultEncoding = "holds bytes that are no characters of the file's encoding"
	faultNUL      = "holds a NUL character"
)

// line is one line without its end. fault says why it cannot be used, or is "".
type line struct {
	text  string
	fault string
	given int // how often it was given back
}

// maxGiven is how often a line is given back. A file in which every line opens a
// quoted field that none closes would otherwise have each line read as often as lines
// fit into a record. A line that was given back so often can still begin a record, but
// is not taken for the middle of one.
const maxGiven = 8

// lines reads a source line by line.
type lines struct {
	source *source
	halfCR bool   // the line before ended with CR: an LF that follows belongs to it
	most   int64  // bounds number, 0 for no bound
	number int64  // of the line returned last
	ahead  []line // lines that were read and given back, the next one last
	eof    error
}

func newLines(s *source, most int64) *lines { return &lines{source: s, most: most} }

// next returns the next line, or io.EOF at the end.
func (l *lines) next() (line, error) {
	if last := len(l.ahead) - 1; last >= 0 {
		one := l.ahead[last]
		l.ahead[last], l.ahead = line{}, l.ahead[:last]
		l.number++
		return one, nil
	}
	if l.eof != nil {
		return line{}, l.eof
	}
	raw, fault, err := l.read()
	if err == nil && l.most > 0 && l.number == l.most {
		err = usersync.Errorf(usersync.CodeInvalid, "The file has more than %d lines; send it in parts.", l.most)
	}
	if err != nil {
		l.eof = err
		return line{}, err
	}
	l.number++
	if fault != "" {
		return line{fault: fault}, nil
	}
	return l.decode(raw), nil
}

// back gives lines back. next returns them again, the first one first.
func (l *lines) back(list []line) {
	for _, one := range slices.Backward(list) {
		one.given++
		l.ahead = append(l.ahead, one)
	}
	l.number -= int64(len(list))
}

// read returns the bytes of the next line, valid until the next call. A line ends with
// LF, CR LF or a lone CR, which some programs still write, also in one file.
func (l *lines) read() (raw []byte, fault string, err error) {
	if l.halfCR {
		if err := l.skipLF(); err != nil {
			return nil, "", ended(err, l.number+1)
		}
	}
	for n := 0; ; { // n bytes are known to hold no end
		if _, err = l.source.Peek(n + 1); err != nil && !errors.Is(err, bufio.ErrBufferFull) && !errors.Is(err, io.EOF) {
			return nil, "", ended(err, l.number+1)
		}
		ahead, _ := l.source.Peek(l.source.Buffered())
		if i := indexEnd(ahead[n:]); i >= 0 {
			raw, l.halfCR = ahead[:n+i], ahead[n+i] == '\r'
			l.discard(n + i + 1)
			break
		}
		if n = len(ahead); err != nil { // the file or the buffer has no more
			l.discard(n)
			if errors.Is(err, io.EOF) {
				raw = ahead
				if n == 0 && fault == "" {
					return nil, "", io.EOF
				}
				break // the last line may have no end
			}
			fault, n = faultTooLong, 0
		}
	}
	if len(raw) > maxLine {
		fault = faultTooLong
	}
	return raw, fault, nil
}

// indexEnd returns where the first line of a text ends, or -1.
func indexEnd(text []byte) int {
	lf := bytes.IndexByte(text, '\n')
	if lf >= 0 {
		text = text[:lf]
	}
	if cr := bytes.IndexByte(text, '\r'); cr >= 0 {
		return cr
	}
	return lf
}

// skipLF drops the rest of an end: LF, or CR LF as some programs write behind a CR.
func (l *lines) skipLF() error {
	l.halfCR = false
	next, err := l.source.Peek(2)
	switch {
	case len(next) > 0 && next[0] == '\n':
		l.discard(1)
	case bytes.Equal(next, []byte("\r\n")):
		l.discard(2)
	case err != nil && !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

// discard drops bytes that were peeked at, so no error is possible.
func (l *lines) discard(n int) { _, _ = l.source.Discard(n) }

// ended says which line could not be read. The end of the file is io.EOF itself.
func ended(err error, number int64) error {
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	return fmt.Errorf("read line %d: %w", number, err)
}

func (l *lines) decode(raw []byte) line {
	if l.source.name == "" && !isASCII(raw) {
		// The first line that is not ASCII decides for the file.
		l.source.name = latinName
		if utf8.Valid(raw) {
			l.source.name = utf8Name
		}
	}
	text := string(raw)
	switch {
	case l.source.decoded:
		if strings.ContainsRune(text, utf8.RuneError) {
			return line{fault: faultEncoding}
		}
	case l.source.name == latinName:
		text, _ = charmap.Windows1252.NewDecoder().String(text) // no error is possible, as every byte is a character
	case !utf8.ValidString(text):
		return line{fault: faultEncoding}
	}
	if strings.IndexByte(text, 0) >= 0 {
		return line{fault: faultNUL}
	}
	return line{text: strings.TrimRight(text, endOfFile)}
}

// endOfFile is what some programs write behind the last line.
const endOfFile = "\x1a"

func isASCII(raw []byte) bool {
	for _, b := range raw {
		if b >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
