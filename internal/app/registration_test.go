package app_test

import (
	"fmt"
	"io"
	"mime/quotedprintable"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/mail/mailtest"
)

// enter makes a call of the directory dialect, and returns the status and the answer.
func (p *play) enter(t *testing.T, head, body string) (int, string) {
	t.Helper()
	c, err := p.prepare(part{head: head, hasBody: true, body: []string{body}, headers: [][2]string{
		{"X-API-Key", ""}, {"Authorization", "Bearer {{token}}"}, {"X-SourceSystem", "CRM"}, {"X-ClientCode", "{{client}}"}, {"X-PaperCode", "{{paper}}"}, {"X-ClientGroupCode", "{{group}}"},
	}})
	must(t, err)
	a := p.client.Do(t, c)
	return a.Status, string(a.Body)
}

// registering begins a play of an organization that sends letters.
func registering(t *testing.T, e *apptest.Environment) (*play, *mailtest.Server) {
	t.Helper()
	letters := mailtest.Start(t)
	e.MailRoots = letters.Roots
	s := &stage{env: e, mail: letters, app: e.Start(t, app.All)}
	s.client = s.app.Client(t)
	p := s.begin(t, "registration")
	p.giveLookups(t, nil)
	p.giveMail(t, nil)
	p.giveRate(t, []string{"100000", "100000"})
	return p, letters
}

var codeInLetter = regexp.MustCompile(`(?m)^ +(\d{8})\r?$`)

// codeOf waits for the nth letter, and returns it with its code.
func codeOf(t *testing.T, letters *mailtest.Server, n int) (code, letter string) {
	t.Helper()
	must(t, until(func() error {
		got := letters.Letters()
		if len(got) < n {
			return fmt.Errorf("%d letters came", len(got))
		}
		_, encoded, _ := strings.Cut(string(got[n-1].Data), "\r\n\r\n")
		plain, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(encoded)))
		if err != nil {
			return fmt.Errorf("read the letter: %w", err)
		}
		letter = string(plain)
		m := codeInLetter.FindStringSubmatch(letter)
		if m == nil {
			return fmt.Errorf("no code in %s", letter)
		}
		code = m[1]
		return nil
	}))
	return code, letter
}

// answers counts the answers to calls that are made at once, by the code of their message.
func answers(n int, call func(i int) string) map[string]int {
	var all sync.WaitGroup
	var mu sync.Mutex
	counts := map[string]int{}
	for i := range n {
		all.Go(func() {
			m := messageCode.FindStringSubmatch(call(i))
			mu.Lock()
			defer mu.Unlock()
			if m == nil {
				m = []string{"", "none"}
			}
			counts[m[1]]++
		})
	}
	all.Wait()
	return counts
}

var messageCode = regexp.MustCompile(`"code":"UsersOrchestrator_(\w+)"`)

// TestOfManyWhoRegisterAnAddressOneDoes registers one address many times at once, and signs
// in by the one password that counts.
func TestOfManyWhoRegisterAnAddressOneDoes(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		p, _ := registering(t, e)
		const many = 8
		got := answers(many, func(i int) string {
			_, body := p.enter(t, "POST /v4/Users", fmt.Sprintf(`{"email":"ann@acme.example.com","password":"password %d"}`, i))
			return body
		})
		if got["S200_03"] != 1 || got["E400_08"] != many-1 {
			t.Errorf("answers: %v", got)
		}
		got = answers(many, func(i int) string {
			_, body := p.enter(t, "POST /v4/Users/Authentication", fmt.Sprintf(`{"email":"ann@acme.example.com","password":"password %d"}`, i))
			return body
		})
		if got["S200_05"] != 1 || got["E400_90"] != many-1 {
			t.Errorf("passwords: %v", got)
		}
	})
}

// TestOfManyWhoUseACodeOneDoes has one code come many times at once.
func TestOfManyWhoUseACodeOneDoes(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		p, letters := registering(t, e)
		p.giveUser(t, []string{"ann@acme.example.com", `{}`, "password"})
		if status, body := p.enter(t, "POST /v4/Users/ForgotPassword", `{"loginName":"ann@acme.example.com"}`); status != http.StatusOK {
			t.Fatal(body)
		}
		code, _ := codeOf(t, letters, 1)
		const many = 5 // as often as a code is compared
		got := answers(many, func(i int) string {
			_, body := p.enter(t, "PUT /v4/Users/ForgotPassword", fmt.Sprintf(`{"loginName":"ann@acme.example.com","verificationCode":"%s","password":"password %d"}`, code, i))
			return body
		})
		if got["S200_10"] != 1 || got["E400_15"] != many-1 {
			t.Errorf("answers: %v", got)
		}
	})
}

// TestGuessesOfManyAtOnceAreCounted guesses at one password from many calls at once.
func TestGuessesOfManyAtOnceAreCounted(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		p, _ := registering(t, e)
		p.giveUser(t, []string{"ann@acme.example.com", `{}`, "password"})
		got := answers(30, func(i int) string {
			_, body := p.enter(t, "POST /v4/Users/Authentication", fmt.Sprintf(`{"email":"ann@acme.example.com","password":"guess %d"}`, i))
			return body
		})
		if got["E400_90"] != 10 || got["E429"] != 20 {
			t.Errorf("answers: %v", got)
		}
	})
}

// TestNobodyCanTellFromWhatIsWrittenWhetherSomebodyIsThere: for an address that somebody
// has, and for one that nobody has, a forgotten password leads to the same rows and the same
// answer, and a wrong one to the same answer.
func TestNobodyCanTellFromWhatIsWrittenWhetherSomebodyIsThere(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		p, letters := registering(t, e)
		p.giveUser(t, []string{"ann@acme.example.com", `{}`, "password"})
		p.giveCredits(t, []string{"1"}) // without credits and endpoints a dump counts as not read
		p.giveWebhook(t, []string{"test"})
		w := &walk{env: e}
		rows := func() string {
			customer{app: p.app}.quiet(t)
			all := w.dump(t)
			return fmt.Sprint(len(all["login_codes"]), len(all["login_tries"]), len(all["requests"]), len(all["users"]))
		}
		_, somebody := p.enter(t, "POST /v4/Users/ForgotPassword", `{"loginName":"ann@acme.example.com"}`)
		codeOf(t, letters, 1)
		first := rows()
		_, nobody := p.enter(t, "POST /v4/Users/ForgotPassword", `{"loginName":"nobody@acme.example.com"}`)
		if second := rows(); somebody != nobody || first != "1 2 1 1" || second != "2 3 1 1" {
			t.Errorf("somebody: %s, rows %s; nobody: %s, rows %s", somebody, first, nobody, second)
		}
		_, wrong := p.enter(t, "POST /v4/Users/Authentication", `{"email":"ann@acme.example.com","password":"wrong horse"}`)
		_, unknown := p.enter(t, "POST /v4/Users/Authentication", `{"email":"nobody@acme.example.com","password":"wrong horse"}`)
		if wrong != unknown {
			t.Errorf("somebody: %s; nobody: %s", wrong, unknown)
		}
		if n := len(letters.Letters()); n != 1 {
			t.Errorf("%d letters were sent", n)
		}
	})
}

// TestARegistrationReachesThePlatformsWhenItCounts registers, verifies and moves a user.
func TestARegistrationReachesThePlatformsWhenItCounts(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		p, letters := registering(t, e)
		p.givePlatform(t, []string{"brevo"})
		p.giveConnected(t, nil)
		people := func() *fakeplatform.People { return p.platform.fake.People() }
		enter := func(head, body string) {
			t.Helper()
			if status, answer := p.enter(t, head, body); status != http.StatusOK {
				t.Fatalf("%s: %d %s", head, status, answer)
			}
		}
		enter("POST /v4/Users", `{"email":"ann@old.example.com","password":"correct horse","firstName":"Ann <b>","verifyEmail":true,"returnUrl":"https://www.example.com/in?x=1"}`)
		code, letter := codeOf(t, letters, 1)
		if !strings.Contains(letter, "https://www.example.com/in?verificationCode="+code) || strings.Contains(letter, "<b>") {
			t.Errorf("the letter is %s", letter)
		}
		customer{app: p.app}.quiet(t)
		if _, there := people().Get("ann@old.example.com"); there {
			t.Error("who has not verified the address is at the platform")
		}
		enter("POST /v4/Users/Verification", `{"email":"ann@old.example.com","verificationCode":"`+code+`"}`)
		at := func(address string) func() error {
			return func() error {
				if _, there := people().Get(address); !there {
					return fmt.Errorf("%s is not at the platform", address)
				}
				return nil
			}
		}
		must(t, until(at("ann@old.example.com")))
		_, found := p.enter(t, "POST /v4/Users/Authentication", `{"email":"ann@old.example.com","password":"correct horse"}`)
		id := regexp.MustCompile(`user_[0-9a-z]+`).FindString(found)
		enter("PATCH /v4/Users/"+id+"/Email", `{"email":"ann@new.example.com"}`)
		must(t, until(at("ann@new.example.com")))
		if _, there := people().Get("ann@old.example.com"); there {
			t.Error("the contact was made anew, and not moved")
		}
	})
}

// TestNothingIsWrittenForAnOrganizationThatWasDisabled disables it behind the back of a
// process that remembers it: the call before shows that it does.
func TestNothingIsWrittenForAnOrganizationThatWasDisabled(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		p, _ := registering(t, e)
		must(t, until(func() error {
			admin(t, e, `UPDATE organizations SET status = 'active' WHERE id = '`+p.org.ID+`'`)
			if status, body := p.enter(t, "POST /v4/Users/Authentication", `{"email":"a@acme.example.com","password":"12345678"}`); status != http.StatusBadRequest {
				return fmt.Errorf("got %d %s", status, body)
			}
			admin(t, e, `UPDATE organizations SET status = 'disabled' WHERE id = '`+p.org.ID+`'`)
			status, body := p.enter(t, "POST /v4/Users", `{"email":"bob@acme.example.com","password":"12345678"}`)
			if status != http.StatusUnauthorized {
				t.Errorf("got %d %s", status, body)
			}
			return nil
		}))
	})
}

// TestAChangeThatFailsByOurFaultSaysSo takes a table away.
func TestAChangeThatFailsByOurFaultSaysSo(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		p, _ := registering(t, e)
		admin(t, e, `ALTER TABLE logins RENAME TO elsewhere`)
		status, body := p.enter(t, "POST /v4/Users", `{"email":"ann@acme.example.com"}`)
		if status != http.StatusInternalServerError || !strings.Contains(body, "UsersOrchestrator_E500_01") || strings.Contains(body, "logins") {
			t.Errorf("got %d %s", status, body)
		}
		admin(t, e, `ALTER TABLE elsewhere RENAME TO logins`)
		if status, body := p.enter(t, "POST /v4/Users", `{"email":"ann@acme.example.com"}`); status != http.StatusOK {
			t.Errorf("what failed is half done: %d %s", status, body)
		}
	})
}

// TestNamesOfFieldsMatchInAnyCase sends what the description has in other letters.
func TestNamesOfFieldsMatchInAnyCase(t *testing.T) {
	t.Parallel()
	e := apptest.New(t, "embedded")
	a := e.Start(t, app.All)
	p := (&stage{env: e, app: a, client: a.Client(t)}).begin(t, "case")
	p.giveLookups(t, nil)
	body, err := expand(`{"EMAIL":"ann@acme.example.com","PassWord":"correct horse","Metadata":{"CITY":"Bonn"}}`, p.vars)
	must(t, err)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.Addr()+"/v4/Users", strings.NewReader(body))
	must(t, err)
	for name, value := range map[string]string{"Authorization": "Bearer " + p.vars["token"], "X-SourceSystem": "CRM", "X-ClientCode": p.vars["client"],
		"X-PaperCode": p.vars["paper"], "X-ClientGroupCode": p.vars["group"], "Content-Type": "application/json"} {
		request.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(request)
	must(t, err)
	must(t, answer.Body.Close())
	if answer.StatusCode != http.StatusOK {
		t.Errorf("got %d", answer.StatusCode)
	}
}
