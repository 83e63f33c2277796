// Package bulk keeps how far requests have come that push many users to one connection:
// how many are planned and done, and which of them failed.
package bulk
