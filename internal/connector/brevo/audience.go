package brevo

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

var _ connector.AudienceMaker = (*brevo)(nil)

// pageOfLists is the most lists that one answer holds. maxLists bounds the search.
const (
	pageOfLists = 50
	maxLists    = 5000
)

// list is a list of contacts.
type list struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

// CheckAudience refuses a name without letters. Brevo takes any other.
func (*brevo) CheckAudience(_ context.Context, name string) error { return connector.CheckName(name) }

// MakeAudience finds the list with a name, or makes it. Brevo's lists have no
// description.
func (b *brevo) MakeAudience(ctx context.Context, name, _ string) (string, usersync.PlatformSync, error) {
	id, err := b.listNamed(ctx, name)
	if err == nil && id == 0 {
		id, err = b.makeList(ctx, name)
	}
	if err != nil {
		return "", usersync.PlatformSync{}, fmt.Errorf("look for the list: %w", err)
	}
	text := strconv.FormatInt(id, 10)
	return text, usersync.PlatformSync{List: text}, nil
}

// listNamed returns the id of a list, or 0 if there is none.
func (b *brevo) listNamed(ctx context.Context, name string) (int64, error) {
	for offset := 0; offset < maxLists; offset += pageOfLists {
		var page struct {
			Count *int64 `json:"count"`
			Lists []list `json:"lists"`
		}
		path := fmt.Sprintf("/contacts/lists?limit=%d&offset=%d&sort=desc", pageOfLists, offset)
		if _, err := b.call(ctx, http.MethodGet, path, nil, &page); err != nil {
			return 0, fmt.Errorf("read a page of lists: %w", err)
		}
		if page.Count == nil {
			return 0, connector.Unexpected(platform)
		}
		for _, l := range page.Lists {
			if l.Name == name {
				return l.ID, nil
			}
		}
		if len(page.Lists) < pageOfLists {
			return 0, nil
		}
	}
	return 0, nil
}

func (b *brevo) makeList(ctx context.Context, name string) (int64, error) {
	folder, err := b.folder(ctx)
	if err != nil {
		return 0, fmt.Errorf("find a folder for the list: %w", err)
	}
	var made list
	if _, err := b.call(ctx, http.MethodPost, "/contacts/lists", map[string]any{"name": name, "folderId": folder}, &made); err != nil {
		return 0, fmt.Errorf("make the list: %w", err)
	}
	if made.ID == 0 {
		return 0, usersync.Errorf(usersync.CodeUnavailable, "Brevo's answer names no list.")
	}
	return made.ID, nil
}

// folder returns the folder that new lists are made in. Brevo requires one.
func (b *brevo) folder(ctx context.Context) (int64, error) {
	if b.settings.Folder > 0 {
		return int64(b.settings.Folder), nil
	}
	var page struct {
		Count   *int64 `json:"count"`
		Folders []list `json:"folders"`
	}
	if _, err := b.call(ctx, http.MethodGet, "/contacts/folders?limit=1&offset=0&sort=asc", nil, &page); err != nil {
		return 0, fmt.Errorf("read the folders: %w", err)
	}
	if page.Count == nil {
		return 0, connector.Unexpected(platform)
	}
	if len(page.Folders) == 0 {
		return 0, usersync.Errorf(usersync.CodeRejected, "Brevo has no folder that a list could be made in.")
	}
	return page.Folders[0].ID, nil
}
