// Package importfile reads files of people as others export them: CSV or NDJSON,
// in the encodings there are, with the column names that people give. It
// reads a stream in bounded memory; a wrong line is an error of that line and
// reading goes on behind it.
package importfile
