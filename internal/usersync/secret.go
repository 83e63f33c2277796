package usersync

import (
	"encoding/json"
	"log/slog"
	"strings"
)

// Secret is a string that never prints itself, wherever it is nested: fmt does
// not call String on unexported fields, so the text hides behind a pointer.
type Secret struct{ text *string }

// NewSecret hides s.
func NewSecret(s string) Secret { return Secret{&s} }

// Reveal returns the hidden text; "" for the zero Secret.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether there is nothing hidden.
func (s Secret) IsZero() bool { return s.Reveal() == "" }

// Masked shows the last four characters of a long secret and nothing of a
// short one: what write-only fields read back as.
func (s Secret) Masked() string {
	text := s.Reveal()
	if text == "" {
		return ""
	}
	if len(text) < 12 {
		return strings.Repeat("•", 4)
	}
	return strings.Repeat("•", 4) + text[len(text)-4:]
}

func (Secret) String() string               { return "[secret]" }
func (Secret) GoString() string             { return "[secret]" }
func (Secret) LogValue() slog.Value         { return slog.StringValue("[secret]") }
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"[secret]"`), nil }

// MaskedSecret is a secret that people write and read back as its mask.
type MaskedSecret struct{ Secret }

// MarshalJSON writes the mask.
func (s MaskedSecret) MarshalJSON() ([]byte, error) { return json.Marshal(s.Masked()) }

// UnmarshalJSON takes a JSON string.
func (s *Secret) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &s.text) }

// UnmarshalText takes the text as it is, so that configuration can hold secrets.
func (s *Secret) UnmarshalText(b []byte) error {
	*s = NewSecret(string(b))
	return nil
}
