package user

// The bounds of what one call, one event or one action may say of a user.
const (
	MaxField  = 256  // characters of a field, but for a link
	MaxLink   = 2048 // characters
	MaxName   = 64   // characters of an attribute's name
	MaxValue  = 4096 // bytes of an attribute's text, or of all texts in a list
	MaxDigits = 64   // characters of an attribute's number
	// MaxMembers is how many attributes there may be.
	MaxMembers = 100
)
