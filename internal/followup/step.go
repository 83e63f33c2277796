package followup

import (
	"fmt"
	"time"

	"usersync/internal/usersync"
)

// Step is an action in its place. Its number in Program.Steps stays the same for one
// version of a definition, so a run can keep it.
type Step struct {
	// Place is where the action stands, as in actions[2].then[0].
	Place string
	// Next is the number of the step that runs after this one. After the last step it is
	// len(Steps). A branch goes to Next where its condition holds, and otherwise to Else.
	Next, Else int
	action     Action
	condition  question
}

// Type returns what the step does.
func (s Step) Type() ActionType { return s.action.Type }

// Takes asks the condition of a branch: it returns the number of the step that runs next,
// and where that is Else, why.
func (s Step) Takes(about *Subject) (next int, why string) {
	yes, why := s.condition.ask(about)
	if yes {
		return s.Next, ""
	}
	return s.Else, why
}

// Fill returns the action with its templates filled in from the data of an event. The
// error has code invalid and names the field and the line.
func (s Step) Fill(data map[string]any) (Action, error) {
	f := filler{data: data}
	out := s.action
	for _, field := range rules[s.action.Type].texts {
		field(&f, &out)
	}
	if f.err != nil {
		return Action{}, usersync.Errorf(usersync.CodeInvalid, "%s.%s", s.Place, usersync.AsError(f.err).Message)
	}
	return out, nil
}

// WaitFor returns how long a filled-in Wait lasts from now on. It is not negative.
func (a Action) WaitFor(now time.Time) (time.Duration, error) {
	if a.For != "" {
		d, fault := duration(a.For)
		if fault != "" {
			return 0, usersync.Errorf(usersync.CodeInvalid, "for %s", fault)
		}
		return d, nil
	}
	moment, fault := until(a.Until)
	if fault != "" {
		return 0, usersync.Errorf(usersync.CodeInvalid, "until %s", fault)
	}
	d := max(moment.Sub(now), 0)
	if d > maxWait {
		return 0, usersync.Errorf(usersync.CodeInvalid, "until is more than %d days from now", maxWait/day)
	}
	return d, nil
}

// actions compiles the actions of a list, of the definition or of a branch.
func (c *compiler) actions(place string, list []Action, depth int) {
	if depth > maxBranchDepth {
		c.fault(place, "branches nest deeper than %d", maxBranchDepth)
		return
	}
	for i, a := range list {
		if len(c.steps) >= maxActions {
			c.fault(fmt.Sprintf("%s[%d]", place, i), "is one of more than %d actions", maxActions)
			return
		}
		if len(c.faults) >= maxFaults {
			return
		}
		c.action(fmt.Sprintf("%s[%d]", place, i), a, depth)
	}
}

func (c *compiler) action(place string, a Action, depth int) {
	at := len(c.steps)
	c.steps = append(c.steps, Step{Place: place, action: a, Next: at + 1})
	rule, known := rules[a.Type]
	if !known {
		c.fault(place+".type", "must be one of %v", ActionTypes)
		return
	}
	c.foreignFields(place, a, rule)
	rule.check(c, place, a)
	if a.Type == Branch {
		c.branch(place, at, a, depth)
	}
}

// branch lays out the steps of a branch: those of then, which go on behind those of else,
// and those of else.
func (c *compiler) branch(place string, at int, a Action, depth int) {
	if a.If == nil || a.If.empty() {
		c.fault(place+".if", "must be set")
	}
	condition := c.condition(place+".if", a.If, 0)
	if len(a.Then) == 0 && len(a.Else) == 0 {
		c.fault(place, "must have actions in then or in else")
	}
	c.actions(place+".then", a.Then, depth+1)
	middle := len(c.steps)
	c.actions(place+".else", a.Else, depth+1)
	end := len(c.steps)
	for i := at + 1; i < middle; i++ {
		// What goes on behind the last step of then skips else.
		if c.steps[i].Next == middle {
			c.steps[i].Next = end
		}
		if c.steps[i].condition != nil && c.steps[i].Else == middle {
			c.steps[i].Else = end
		}
	}
	c.steps[at].action.Then, c.steps[at].action.Else = nil, nil
	c.steps[at].condition, c.steps[at].Next, c.steps[at].Else = condition, at+1, middle
	if at+1 == middle { // then is empty
		c.steps[at].Next = end
	}
}
