package connector

import "context"

// InParts pushes the people of whom apart is true by alone, and all others before them
// by together. After an error of together, alone has no turn.
func InParts(ctx context.Context, people []Profile, apart func(Profile) bool,
	alone, together func(context.Context, []Profile) ([]Result, error),
) ([]Result, error) {
	var places [2][]int
	for i, p := range people {
		part := 0
		if apart(p) {
			part = 1
		}
		places[part] = append(places[part], i)
	}
	results := make([]Result, len(people))
	for part, push := range []func(context.Context, []Profile) ([]Result, error){together, alone} {
		some := make([]Profile, len(places[part]))
		for at, i := range places[part] {
			some[at] = people[i]
		}
		if len(some) == 0 {
			continue
		}
		pushed, err := push(ctx, some)
		for at, r := range pushed {
			results[places[part][at]] = r
		}
		if err != nil {
			return results, err
		}
	}
	return results, nil
}
