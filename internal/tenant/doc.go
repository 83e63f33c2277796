// Package tenant keeps who uses the service: organizations with their settings, and the
// API keys that identify them.
package tenant
