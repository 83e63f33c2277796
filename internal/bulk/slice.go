package bulk

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"usersync/internal/store"
)

// UserVersion names a user and the version that is stored.
type UserVersion struct {
	ID      string
	Version int64
}

var (
	// The slice is cut before it is filtered, so that its cost is bounded.
	sliceStatement = store.Define("bulk.slice", `
SELECT u.id, u.version, u.updated_at >= $3 FROM users u
WHERE u.organization_id = $1 AND u.id <> '' AND u.id > $2 ORDER BY u.id LIMIT $4`)
	knownStatement = store.Define("bulk.known", `
SELECT u.id, u.version FROM {rows} JOIN users u ON u.id = r.id WHERE u.organization_id = $1`, store.Col("id", store.Text))
	againStatement = store.Define("bulk.again", `
SELECT user_id FROM bulk_errors WHERE request_id = $2 AND organization_id = $1 AND status = 'again' AND user_id > $3 ORDER BY user_id LIMIT $4`)
)

// Slice is a part of the users of a bulk.
type Slice struct {
	Users []UserVersion
	// Unknown are ids that name no user.
	Unknown []string
	// Cursor is the last id of the slice; Last says that no slice follows.
	Cursor string
	Last   bool
}

// SliceUsers returns the users among the next limit ids after the cursor that
// were last told of at or after since.
func SliceUsers(ctx context.Context, o *store.Org, after string, since time.Time, limit int) (s Slice, err error) {
	type row struct {
		UserVersion
		active bool
	}
	list, err := store.Collect(ctx, o.Reader(), sliceStatement, nil, func(scan func(...any) error) (r row, err error) {
		return r, scan(&r.ID, &r.Version, &r.active)
	}, o.ID(), after, store.Micros(since), limit)
	s.Cursor, s.Last = after, len(list) < limit
	for _, r := range list {
		s.Cursor = r.ID
		if r.active {
			s.Users = append(s.Users, r.UserVersion)
		}
	}
	if err != nil {
		return s, fmt.Errorf("read a slice of the users: %w", err)
	}
	return s, nil
}

// SliceNamed returns the next limit of ids, which are sorted, after the cursor.
func SliceNamed(ctx context.Context, o *store.Org, ids []string, after string, limit int) (Slice, error) {
	from, found := slices.BinarySearch(ids, after)
	if found {
		from++
	}
	part := ids[from:min(from+limit, len(ids))]
	return slice(ctx, o, part, after, from+len(part) == len(ids))
}

// SliceAgain returns the next limit users after the cursor that a retry has
// marked.
func SliceAgain(ctx context.Context, o *store.Org, id, after string, limit int) (Slice, error) {
	part, err := store.Collect(ctx, o.Reader(), againStatement, nil, store.ScanString, o.ID(), id, after, limit)
	if err != nil {
		return Slice{}, fmt.Errorf("read the users that are planned again: %w", err)
	}
	return slice(ctx, o, part, after, len(part) < limit)
}

func slice(ctx context.Context, o *store.Org, ids []string, after string, last bool) (s Slice, err error) {
	s = Slice{Cursor: after, Last: last}
	if len(ids) == 0 {
		return s, nil
	}
	s.Cursor = ids[len(ids)-1]
	s.Users, err = store.Collect(ctx, o.Reader(), knownStatement, store.IDRows(knownStatement, ids), func(scan func(...any) error) (u UserVersion, err error) {
		return u, scan(&u.ID, &u.Version)
	}, o.ID())
	slices.SortFunc(s.Users, func(a, b UserVersion) int { return cmp.Compare(a.ID, b.ID) })
	known := map[string]bool{}
	for _, u := range s.Users {
		known[u.ID] = true
	}
	for _, id := range ids {
		if !known[id] {
			s.Unknown = append(s.Unknown, id)
		}
	}
	if err != nil {
		return s, fmt.Errorf("read a slice of the named users: %w", err)
	}
	return s, nil
}
