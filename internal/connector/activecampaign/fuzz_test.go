package activecampaign

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// regional is a host of one of ActiveCampaign's regions.
var regional = regexp.MustCompile(`^.+\.api-[a-z]{2}[0-9]{1,2}\.com$`)

func FuzzOnlyHostsOfActiveCampaignAreCalled(f *testing.F) {
	for _, seed := range []string{"https://example.api-us1.com", "https://x@y.activehosted.com", "https://a.b/.api-us1.com", "https://a%2f.api-us1.com", "//a.api-us1.com"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		name := host(raw)
		if name == "" {
			return
		}
		u, err := url.Parse("https://" + name + api)
		if err != nil || u.Host != name || u.User != nil || u.Path != api {
			t.Fatalf("%q makes the host %q: %v, %v", raw, name, u, err)
		}
		if !regional.MatchString(name) && !strings.HasSuffix(name, ".activehosted.com") {
			t.Errorf("%q makes the host %q", raw, name)
		}
	})
}
