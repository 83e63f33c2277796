// Package retention removes what an organization does not want to keep any longer.
package retention
