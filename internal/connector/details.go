package connector

import "strings"

// Did says what a push did to a person, for Result.Details: "User added to the
// 'active-clients' list; tags 'vip' have been applied". list and tags are the
// names that people know, empty for none.
func Did(status Status, list string, tags []string) string {
	text := "User " + string(status) + toList(status, list)
	if len(tags) == 0 {
		return text
	}
	return text + "; tags " + quoteAll(tags) + " have been applied"
}

// Would says what a push would do, as Did.
func Would(status Status, list string, tags []string) string {
	text := "User would be " + string(status) + toList(status, list)
	if len(tags) == 0 {
		return text
	}
	return text + "; tags " + quoteAll(tags) + " would be applied"
}

func toList(status Status, list string) string {
	switch {
	case list == "":
		return ""
	case status == Updated:
		return " in the '" + list + "' list"
	}
	return " to the '" + list + "' list"
}

func quoteAll(names []string) string { return "'" + strings.Join(names, "', '") + "'" }
