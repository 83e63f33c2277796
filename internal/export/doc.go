// Package export reads everything that is held about one person, for the person to see.
package export
