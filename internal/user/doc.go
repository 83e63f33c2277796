// Package user is the people whom organizations tell us about, and who of them was erased.
package user
