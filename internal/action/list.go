package action

import (
	"usersync/internal/followup"
	"usersync/internal/mail"
	"usersync/internal/outbound"
	"usersync/internal/store"
)

// Means are what actions do their work with.
type Means struct {
	Store *store.Store
	// Client calls webhooks.
	Client *outbound.Client
	// Mail sends invitations.
	Mail *mail.Sender
}

// Doers lists what is done for each type of action: THE LIST. Waits and branches are the
// engine's own.
func Doers(m Means) map[followup.ActionType]Doer {
	return map[followup.ActionType]Doer{
		followup.UpdateUser:          updateUser,
		followup.AddTag:              addTags,
		followup.RemoveTag:           removeTags,
		followup.TriggerEvent:        triggerEvent,
		followup.SyncToPlatforms:     syncToPlatforms,
		followup.RemoveFromPlatforms: removeFromPlatforms,
		followup.Unsubscribe:         unsubscribe,
		followup.FindColleagues:      findColleagues,
		followup.SendInvitation:      sendInvitation(m.Store, m.Mail),
		followup.SendWebhook:         sendWebhook(m.Client),
	}
}
