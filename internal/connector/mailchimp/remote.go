package mailchimp

import (
	"encoding/json"
	"slices"
)

// maxLists is how many lists are kept of a person: their ids fit into the 500
// bytes of Result.Remote.
const maxLists = 20

// remote is what is kept of a person between pushes.
type remote struct {
	// Member is the person's id, the same in all lists.
	Member string `json:"member"`
	// Lists are those the person was pushed to, the latest last: a bulk call may
	// name another than the connection does, and an erasure has to find them all.
	Lists []string `json:"lists"`
}

// remoteOf reads what was kept; what cannot be read is nothing.
func remoteOf(text string) remote {
	var r remote
	_ = json.Unmarshal([]byte(text), &r)
	return r
}

// with returns r for a member that is in list now.
func (r remote) with(list, member string) remote {
	lists := slices.DeleteFunc(slices.Clone(r.Lists), func(l string) bool { return l == list })
	lists = append(lists, list)
	if len(lists) > maxLists {
		lists = lists[len(lists)-maxLists:]
	}
	return remote{Member: member, Lists: lists}
}

// String is the text to keep. Ids are letters and digits: it cannot fail.
func (r remote) String() string {
	text, _ := json.Marshal(r)
	return string(text)
}

// in reports whether the person was pushed to list.
func (r remote) in(list string) bool { return r.Member != "" && slices.Contains(r.Lists, list) }
