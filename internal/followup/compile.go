package followup

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"usersync/internal/usersync"
)

// The bounds of a definition.
const (
	maxName    = 200 // characters
	maxActions = 100 // those of branches included
	// maxBranchDepth bounds how deep branches nest.
	maxBranchDepth = 8
	// maxFaults bounds the faults that are told at once.
	maxFaults = 20
	// MaxDefinition bounds a definition as JSON, in bytes, because an organization may
	// have 1,000 of them.
	MaxDefinition = 64 << 10
	maxEventType  = 64 // bytes
)

// Program is a definition that was checked, ready to be asked and run. It is safe for
// concurrent use.
type Program struct {
	Definition Definition
	// Steps are the actions in the order of the text. A run begins with the first one, and
	// ends behind the last.
	Steps     []Step
	condition question
}

// Compile checks a definition. The error has code invalid and names the place of each
// fault, as in actions[2].then[0].url.
func Compile(d Definition) (*Program, error) {
	c := &compiler{}
	switch {
	case strings.TrimSpace(d.Name) == "":
		c.fault("name", "must be set")
	case utf8.RuneCountInString(d.Name) > maxName:
		c.fault("name", "must have at most %d characters", maxName)
	}
	c.eventType("trigger.type", d.Trigger.Type)
	if d.Overlap == "" {
		d.Overlap = OverlapAll
	}
	if !contains(Overlaps, d.Overlap) {
		c.fault("overlap", "must be one of %v", Overlaps)
	}
	p := &Program{Definition: d, condition: c.condition("condition", d.Condition, 0)}
	if len(d.Actions) == 0 {
		c.fault("actions", "must have at least one action")
	}
	c.actions("actions", d.Actions, 0)
	if err := c.err(); err != nil {
		return nil, err
	}
	p.Steps = c.steps
	return p, nil
}

// Matches asks the condition. why names the comparison that decided a no, and shows
// nothing of the data.
func (p *Program) Matches(s *Subject) (yes bool, why string) { return p.condition.ask(s) }

// Matcher is what matching an event needs of a definition: its condition alone. It takes
// less memory than a Program.
type Matcher struct {
	Name      string
	Type      EventType
	Overlap   Overlap
	condition question
}

// Matcher returns that of a program.
func (p *Program) Matcher() *Matcher {
	return &Matcher{Name: p.Definition.Name, Type: p.Definition.Trigger.Type, Overlap: p.Definition.Overlap, condition: p.condition}
}

// ReadMatcher returns the Matcher of a definition that was compiled before it was stored.
// It reads the condition and no template.
func ReadMatcher(text []byte) (*Matcher, error) {
	var d Definition
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("decode the definition: %w", err)
	}
	c := &compiler{}
	m := &Matcher{Name: d.Name, Type: d.Trigger.Type, Overlap: d.Overlap, condition: c.condition("condition", d.Condition, 0)}
	return m, c.err()
}

// Matches is that of the program. The type is not asked.
func (m *Matcher) Matches(s *Subject) (yes bool, why string) { return m.condition.ask(s) }

// compiler collects the steps and the faults of a definition.
type compiler struct {
	faults      []usersync.FieldError
	comparisons int
	steps       []Step
	names       map[string]bool // of responses
}

func (c *compiler) fault(place, format string, args ...any) {
	if len(c.faults) < maxFaults {
		c.faults = append(c.faults, usersync.FieldError{Field: place, Message: fmt.Sprintf(format, args...)})
	}
}

func (c *compiler) err() error {
	if len(c.faults) == 0 {
		return nil
	}
	parts := make([]string, len(c.faults))
	for i, f := range c.faults {
		parts[i] = f.Field + " " + f.Message
	}
	return &usersync.Error{Code: usersync.CodeInvalid, Message: strings.Join(parts, "; "), Fields: c.faults}
}

// eventType checks the type of an event that sets off a follow-up or is triggered by one.
func (c *compiler) eventType(place string, t EventType) {
	if contains(EventTypes, t) {
		return
	}
	custom, ok := strings.CutPrefix(string(t), CustomPrefix)
	if !ok || custom == "" || len(t) > maxEventType || strings.Trim(custom, "abcdefghijklmnopqrstuvwxyz0123456789-/") != "" {
		c.fault(place, "must be one of %v, or begin with %s and go on with small letters, digits, - and /", EventTypes, CustomPrefix)
	}
}

func contains[T comparable](list []T, one T) bool {
	for _, other := range list {
		if one == other {
			return true
		}
	}
	return false
}
