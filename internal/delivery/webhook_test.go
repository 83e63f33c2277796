package delivery_test

import (
	"testing"

	"usersync/internal/delivery"
	"usersync/internal/usersync"
)

func TestIDsOfDeliveriesAndTheirTasksSortByTheMessagesTime(t *testing.T) {
	t.Parallel()
	message := usersync.NewID(usersync.PrefixMessage)
	delivery := delivery.IDOf(message, usersync.NewID(usersync.PrefixEndpoint))
	task := usersync.DeriveID(usersync.PrefixTask, delivery, "deliver")
	const timePart = len("msg_0123456789")
	if delivery[:timePart][4:] != message[:timePart][4:] || task[:timePart][4:] != message[:timePart][4:] {
		t.Errorf("%s, %s, %s have different times", message, delivery, task)
	}
	if !usersync.HasPrefix(delivery, usersync.PrefixDelivery) || usersync.HasPrefix(delivery[:30], usersync.PrefixDelivery) ||
		!usersync.HasPrefix(task, usersync.PrefixTask) || usersync.HasPrefix(task+"00000000", usersync.PrefixTask) {
		t.Error("an id of another length is taken, or one of the right length refused")
	}
}

func TestADeliveryKeepsItsLatestAttempts(t *testing.T) {
	t.Parallel()
	var d delivery.Delivery
	for i := range 3 * delivery.KeptAttempts {
		before := d.Attempts
		d.Note(delivery.Attempt{Status: i})
		if i > 0 && before[len(before)-1].Status != i-1 {
			t.Fatal("what was loaded changed")
		}
	}
	if len(d.Attempts) != delivery.KeptAttempts || d.Attempted != 3*delivery.KeptAttempts || d.Attempts[delivery.KeptAttempts-1].Status != d.Attempted-1 {
		t.Errorf("%d attempts of %d, the last %+v", len(d.Attempts), d.Attempted, d.Attempts[len(d.Attempts)-1])
	}
}
