// Package tenant is who uses the service: organizations with their settings, and the API
// keys by which they are known.
package tenant
