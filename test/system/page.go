//go:build unix

package system

import (
	"fmt"
	"os"
	"strings"
)

// WritePlace puts text into its place in a page: between the lines that mark
// its beginning and its end.
func WritePlace(file, place, text string) error {
	page, err := os.ReadFile(file) //nolint:gosec // named on the command line
	if err != nil {
		return fmt.Errorf("read the page for the tables: %w", err)
	}
	made, err := ReplacePlace(string(page), place, text)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.WriteFile(file, []byte(made), 0o644) //nolint:gosec // a page for everyone to read
}

// ReplacePlace is WritePlace for the text of a page.
func ReplacePlace(page, place, text string) (string, error) {
	begin, end := "<!-- begin "+place+" -->\n", "<!-- end "+place+" -->"
	before, rest, found := strings.Cut(page, begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		return "", fmt.Errorf("the page has no place %q", place)
	}
	return before + begin + "\n" + strings.TrimSpace(text) + "\n\n" + end + after, nil
}
