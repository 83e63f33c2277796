// Package console drives the console with a browser: every page on a desktop and on a
// telephone, with and without scripts, by keyboard, and against the rules of axe-core.
package console
