// Package audit keeps who changed what: a row beside every change that somebody asked for.
package audit
