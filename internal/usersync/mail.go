package usersync

// SMTP is the mail server that an organization's invitations go through.
type SMTP struct {
	Host     string       `json:"host"`
	Port     int          `json:"port"`
	Username string       `json:"username,omitempty"`
	Password MaskedSecret `json:"password,omitzero"`
	// From is an address, with a name or without.
	From string `json:"from"`
}
