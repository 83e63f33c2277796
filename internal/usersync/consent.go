package usersync

// Channel is a way in which people are written to.
type Channel string

// The channels.
const (
	ChannelEmail Channel = "email"
	ChannelSMS   Channel = "sms"
)

// ConsentStatus says whether a person wants to be written to.
type ConsentStatus string

// The statuses of a consent. A channel of which nobody has said anything is unknown.
const (
	Subscribed   ConsentStatus = "subscribed"
	Unsubscribed ConsentStatus = "unsubscribed"
	Unknown      ConsentStatus = "unknown"
)

// Consent is what is known of a person's wish for one channel.
type Consent struct {
	Status ConsentStatus `json:"status"`
	// Source says who or what told it: words of the organization, such as "signup form",
	// or the name of a platform.
	Source string `json:"source"`
	// ConnectionID is the connection whose platform told it; "" where the organization
	// did.
	ConnectionID string `json:"connectionId,omitempty"`
	// Everywhere says that the other platforms are to follow what one has told.
	Everywhere bool `json:"everywhere,omitempty"`
	// At is when the person said it. The newest statement counts, however late it comes.
	At Time `json:"at"`
}

// Consents are the consents of a person by channel.
type Consents map[Channel]Consent
