package action

import (
	"usersync/internal/followup"
	"usersync/internal/outbound"
)

// Doers lists what is done for each type of action: THE LIST. Waits and branches are the
// engine's own. Webhooks are sent by the client.
func Doers(client *outbound.Client) map[followup.ActionType]Doer {
	return map[followup.ActionType]Doer{
		followup.UpdateUser:      updateUser,
		followup.AddTag:          addTags,
		followup.RemoveTag:       removeTags,
		followup.TriggerEvent:    triggerEvent,
		followup.SyncToPlatforms: syncToPlatforms,
		followup.Unsubscribe:     unsubscribe,
		followup.FindColleagues:  findColleagues,
		followup.SendWebhook:     sendWebhook(client),
	}
}
