package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// ofCompose are the variables of docker-compose.yml that are no settings of the
// service.
var ofCompose = map[string]bool{
	"POSTGRES_USER": true, "POSTGRES_PASSWORD": true, "POSTGRES_DB": true, "GOMEMLIMIT": true,
	"USERSYNC_VERSION": true, "API_PORT": true, "OPS_PORT": true, "VERSION": true,
	"GO_IMAGE": true, "POSTGRES_IMAGE": true, "REDIS_IMAGE": true,
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

// TestImagesAreNamedByTheirDigest checks that nothing is built on or run by a tag: each
// image that is pulled comes from a variable without a default, and pin-images.sh
// fills it.
func TestImagesAreNamedByTheirDigest(t *testing.T) {
	t.Parallel()
	script := read(t, "../../deploy/pin-images.sh")
	named := regexp.MustCompile(`^\$\{([A-Z]+_IMAGE)(:\?[^}]+)?\}$`)
	for path, from := range map[string]*regexp.Regexp{
		"../../docker-compose.yml":         regexp.MustCompile(`(?m)^ +image: (.+)$`),
		"../../deploy/Dockerfile":          regexp.MustCompile(`(?m)^FROM (\S+)`),
		"../../deploy/Dockerfile.prebuilt": regexp.MustCompile(`(?m)^FROM (\S+)`),
	} {
		text := read(t, path)
		found := from.FindAllStringSubmatch(text, -1)
		if len(found) == 0 {
			t.Errorf("%s names no image", path)
		}
		for _, match := range found {
			if match[1] == "scratch" || strings.HasPrefix(match[1], "usersync:") {
				continue // nothing, and what is built here
			}
			variable := named.FindStringSubmatch(match[1])
			if variable == nil || strings.Contains(text, "ARG "+variable[1]+"=") || !strings.Contains(script, "\n"+variable[1]+" ") {
				t.Errorf("%s names %s, which has a default or is not in pin-images.sh", path, match[1])
			}
		}
	}
}

// docker is a docker for which an image that was pulled has the digest in DIGEST.
const docker = `#!/bin/sh
case $1 in
pull) echo pulled ;;
image) for last; do :; done; [ -z "$DIGEST" ] || echo "${last%:*}@$DIGEST" ;;
esac
`

func TestPinImagesPrintsDigestsOrFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte(docker), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	digest := "sha256:" + strings.Repeat("0", 64)
	pin := func(digest string) (string, error) {
		c := exec.CommandContext(t.Context(), "sh", "../../deploy/pin-images.sh")
		c.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "DIGEST="+digest)
		out, err := c.Output()
		return string(out), err
	}
	out, err := pin(digest)
	lines := regexp.MustCompile(`(?m)^[A-Z]+_IMAGE=[a-z]+:[0-9a-z.-]+@`+digest+`$`).FindAllString(out, -1)
	if err != nil || len(lines) != 3 || strings.Count(out, "\n") != 3 {
		t.Errorf("%v %q", err, out)
	}
	if out, err := pin(""); err == nil || out != "" {
		t.Errorf("without a digest: %v %q", err, out)
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
