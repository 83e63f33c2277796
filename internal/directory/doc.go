// Package directory takes files of people that an organization uploads into
// its directory, where the colleague search finds them. An upload is stored in
// chunks while it comes in; a task works them off one by one, so that an import
// goes on where it was, whatever dies.
package directory
