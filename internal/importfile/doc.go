// Package importfile reads files of people as other programs export them. They are
// CSV or NDJSON, in the usual encodings and with the usual names of columns. It reads
// a stream in bounded memory. A wrong line is an error of that line alone, and
// reading goes on behind it. The package also writes the CSV files in which people
// look up what was wrong.
package importfile
