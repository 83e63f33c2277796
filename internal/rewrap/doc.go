// Package rewrap puts every sealed value under the key that seals now.
package rewrap
