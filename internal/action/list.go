package action

import "usersync/internal/followup"

// Doers lists what is done for each type of action: THE LIST. Waits and branches are the
// engine's own.
func Doers() map[followup.ActionType]Doer {
	return map[followup.ActionType]Doer{
		followup.UpdateUser:   updateUser,
		followup.AddTag:       addTags,
		followup.RemoveTag:    removeTags,
		followup.TriggerEvent: triggerEvent,
	}
}
