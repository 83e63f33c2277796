package erasure

import (
	"usersync/internal/platform"
	"usersync/internal/usersync"
)

// Erasure is the receipt for erasing a person: what went, and how far it is.
type Erasure struct {
	ID string `json:"id"`
	// UserID is "" when the person was no user.
	UserID  string  `json:"userId"`
	Status  string  `json:"status"`
	Removed Removed `json:"removed"`
	// Platforms has one receipt for each platform that knew the person.
	Platforms  []platform.Receipt `json:"platforms"`
	CreatedAt  usersync.Time      `json:"createdAt"`
	FinishedAt usersync.Time      `json:"finishedAt,omitzero"`
}

// Removed counts the records that were deleted or emptied.
type Removed struct {
	Users      int64 `json:"users"`
	People     int64 `json:"people"`     // entries of the directory
	Colleagues int64 `json:"colleagues"` // colleague records
	Links      int64 `json:"links"`      // who was found as whose colleague
	Requests   int64 `json:"requests"`
	Messages   int64 `json:"messages"` // webhook messages
	Events     int64 `json:"events"`
}

// Add adds what another part of the work removed.
func (r *Removed) Add(more Removed) {
	r.Users += more.Users
	r.People += more.People
	r.Colleagues += more.Colleagues
	r.Links += more.Links
	r.Requests += more.Requests
	r.Messages += more.Messages
	r.Events += more.Events
}
