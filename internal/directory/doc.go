// Package directory takes files of people that an organization uploads into
// its directory, where the colleague search finds them. An upload is stored in
// chunks while it comes in. A task saves the chunks one by one, so an import goes on
// where it was after any process has died.
package directory
