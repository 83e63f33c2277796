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
	end    byte
	most   int64  // bounds number, 0 for no bound
	number int64  // of the line returned last
	ahead  []line // lines that were read and given back, the next one last
	eof    error
}

func newLines(s *source, most int64) *lines { return &lines{source: s, end: lineEnd(s), most: most} }

// lineEnd returns the byte that ends lines. Some programs still write a lone CR.
func lineEnd(s *source) byte {
	sample, _ := s.Peek(maxLine)
	if bytes.IndexByte(sample, '\n') < 0 && bytes.IndexByte(sample, '\r') >= 0 {
		return '\r'
	}
	return '\n'
}

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

// read returns the bytes of the next line, valid until the next call.
func (l *lines) read() (raw []byte, fault string, err error) {
	raw, err = l.source.ReadSlice(l.end)
	for errors.Is(err, bufio.ErrBufferFull) {
		fault = faultTooLong
		_, err = l.source.ReadSlice(l.end)
	}
	unended := errors.Is(err, io.EOF) && (len(raw) > 0 || fault != "") // the last line may have no end
	if err != nil && !unended {
		return nil, "", ended(err, l.number+1)
	}
	raw = bytes.TrimRight(raw, "\r\n")
	if len(raw) > maxLine {
		fault = faultTooLong
	}
	return raw, fault, nil
}

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
	return line{text: text}
}

func isASCII(raw []byte) bool {
	for _, b := range raw {
		if b >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
