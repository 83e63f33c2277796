package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// ofCompose are the variables of docker-compose.yml that are no settings of the
// service.
var ofCompose = map[string]bool{
	"POSTGRES_USER": true, "POSTGRES_PASSWORD": true, "POSTGRES_DB": true, "GOMEMLIMIT": true,
	"USERSYNC_VERSION": true, "API_PORT": true, "OPS_PORT": true, "VERSION": true,
}

func TestComposeNamesOnlySettingsThereAre(t *testing.T) {
	t.Parallel()
	settings := read(t, "../../docs/configuration.md")
	for path, names := range map[string]*regexp.Regexp{
		"../../docker-compose.yml":  regexp.MustCompile(`(?m)^ +([A-Z_]+):|\$\{([A-Z_]+)`),
		"../../deploy/.env.example": regexp.MustCompile(`(?m)^#?([A-Z_]+)=`),
	} {
		found := names.FindAllStringSubmatch(read(t, path), -1)
		if len(found) == 0 {
			t.Errorf("%s names no setting", path)
		}
		for _, match := range found {
			name := strings.Join(match[1:], "")
			if !ofCompose[name] && !strings.Contains(settings, "| `"+name+"` |") {
				t.Errorf("%s names %s, which is no setting", path, name)
			}
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
