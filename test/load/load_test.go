//go:build unix

package main

import (
	"bufio"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"usersync/test/system"
)

func TestPercentileIsTheNearestRank(t *testing.T) {
	t.Parallel()
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for _, c := range []struct {
		sorted []time.Duration
		p      float64
		want   time.Duration
	}{
		{nil, 50, 0},
		{[]time.Duration{7}, 1, 7},
		{[]time.Duration{7}, 99, 7},
		{[]time.Duration{1, 2, 3, 4}, 50, 2},
		{[]time.Duration{1, 2, 3, 4}, 51, 3},
		{hundred, 50, 50},
		{hundred, 95, 95},
		{hundred, 99, 99},
		{hundred, 100, 100},
	} {
		if got := percentile(c.sorted, c.p); got != c.want {
			t.Errorf("percentile %v of %d values: %d, want %d", c.p, len(c.sorted), got, c.want)
		}
	}
}

var figures = table{
	header: []string{"what", "rate", "note"},
	rows:   [][]string{{"naïve", "1,200", ""}, {"a|b", "7", "≤ 5"}},
}

func TestTextAlignsWordsLeftAndFiguresRight(t *testing.T) {
	t.Parallel()
	want := "what    rate  note\n" +
		"naïve  1,200\n" +
		"a|b        7  ≤ 5\n"
	if got := figures.text(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestMarkdownMarksTheColumnsOfFigures(t *testing.T) {
	t.Parallel()
	want := "| what  |  rate | note |\n" +
		"|-------|------:|------|\n" +
		"| naïve | 1,200 |      |\n" +
		"| a\\|b  |     7 | ≤ 5  |\n"
	if got := figures.markdown(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestWholeSetsThousandsApart(t *testing.T) {
	t.Parallel()
	for f, want := range map[float64]string{0: "0", 999.4: "999", 999.5: "1,000", 1234567: "1,234,567"} {
		if got := whole(f); got != want {
			t.Errorf("whole(%v) = %q, want %q", f, got, want)
		}
	}
}

func TestReadAnswerReadsOneAnswerAfterTheOther(t *testing.T) {
	t.Parallel()
	in := bufio.NewReaderSize(strings.NewReader(
		"HTTP/1.1 202 Accepted\r\nX: y\r\ncontent-length: 21\r\n\r\n{\"requestId\":\"req_1\"}"+
			"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n"+
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nb\r\n-and-more-\n\r\n0\r\n\r\n"), 64)
	a, err := readAnswer(in, nil)
	if a.Status != 202 || requestID(a.Body) != "req_1" || a.RetryAfter != 0 || err != nil {
		t.Errorf("first: %+v %v", a, err)
	}
	a, err = readAnswer(in, a.Body)
	if a.Status != 503 || len(a.Body) != 0 || a.RetryAfter != 2*time.Second || err != nil {
		t.Errorf("second: %+v %v", a, err)
	}
	a, err = readAnswer(in, a.Body)
	if a.Status != 200 || string(a.Body) != "abc-and-more-\n" || err != nil {
		t.Errorf("third: %+v %v", a, err)
	}
}

func TestReadAnswerRefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 abc\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
		"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: soon\r\n\r\n",
	} {
		if _, err := readAnswer(bufio.NewReader(strings.NewReader(text)), nil); !errors.Is(err, errAnswer) {
			t.Errorf("%q: error %v", text, err)
		}
	}
}

func TestRequestIDIsThatOfTheBody(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"success":true,"requestId":"req_1","userId":"user_1"}`:                                "req_1",
		`{"type":"user_sync.completed","data":{"requestId":"req_2","items":[{"requestId":1}]}}`: "req_2",
		`{"requestId":"req_`: "",
		`{}`:                 "",
	} {
		if got := requestID([]byte(body)); got != want {
			t.Errorf("requestID(%s) = %q, want %q", body, got, want)
		}
	}
}

func TestRequestIDsAreAllOfTheBody(t *testing.T) {
	t.Parallel()
	body := `{"success":true,"results":[{"requestId":"req_1","userId":"user_1"},{"position":1,"requestId":"req_2"}]}`
	if got := requestIDs([]byte(body)); !slices.Equal(got, []string{"req_1", "req_2"}) {
		t.Errorf("got %q", got)
	}
	if got := requestIDs([]byte(`{}`)); got != nil {
		t.Errorf("got %q of none", got)
	}
}

func TestWriteDigitsFillsEveryPlace(t *testing.T) {
	t.Parallel()
	text := []byte("a" + userDigits + "b" + companyDigits + "c" + userDigits)
	writeDigits(text, offsets(text, userDigits), len(userDigits), 1234567)
	if got, want := string(text), "a001234567b"+companyDigits+"c001234567"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAccountFindsMissingAndRepeatedWebhooks(t *testing.T) {
	t.Parallel()
	answered := time.Unix(100, 0)
	samples := []sample{{ids: []string{"a", "b"}, answered: answered}, {ids: []string{"c"}, answered: answered}}
	got := account(samples, system.Received{Messages: 4, Requests: 3, Arrivals: map[string]system.Arrival{
		"a":       {At: answered.Add(9 * time.Millisecond).UnixNano(), Count: 1},
		"b":       {At: answered.Add(3 * time.Millisecond).UnixNano(), Count: 2},
		"another": {At: answered.Add(time.Hour).UnixNano(), Count: 1},
	}})
	if got.accepted != 3 || got.missing != 1 || got.repeated != 1 || got.foreign != 1 || !slices.Equal(got.waits, []time.Duration{3 * time.Millisecond, 9 * time.Millisecond}) {
		t.Errorf("got %+v", got)
	}
	if want := answered.Add(9 * time.Millisecond); !got.last.Equal(want) {
		t.Errorf("last %s, want %s", got.last, want)
	}
}

func TestLostAndDoubledWebhooksAreABreachAndRepeatedOnesAreNot(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a    accounts
		want int
	}{{accounts{accepted: 2}, 0}, {accounts{accepted: 2, repeated: 1}, 0}, {accounts{accepted: 2, missing: 1}, 1}, {accounts{accepted: 2, foreign: 1}, 1}} {
		r := &report{}
		r.told("end to end", 16, 100, &outcome{batch: 1}, c.a)
		if len(r.speed) != 1 || len(r.breaches) != c.want {
			t.Errorf("%+v: %d rows, breaches %q", c.a, len(r.speed), r.breaches)
		}
	}
}

func TestEvenlySpacesRequestsByTheRate(t *testing.T) {
	t.Parallel()
	due := evenly(200)
	if due(0) != 0 || due(1) != 5*time.Millisecond || due(200) != time.Second {
		t.Errorf("got %s, %s, %s", due(0), due(1), due(200))
	}
}

func TestWithPathKeepsTheServer(t *testing.T) {
	t.Parallel()
	got, err := withPath("postgres://u:p@127.0.0.1:5432/main?sslmode=disable", "other")
	if want := "postgres://u:p@127.0.0.1:5432/other?sslmode=disable"; got != want || err != nil {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

func TestTablesGoToTheirPlaceAndNowhereElse(t *testing.T) {
	t.Parallel()
	const page = "# Title\n<!-- begin a -->\nold\n<!-- end a -->\nsaid\n<!-- begin b -->\nkept\n<!-- end b -->\n"
	got, err := system.ReplacePlace(page, "a", "| new |\n")
	if want := "# Title\n<!-- begin a -->\n\n| new |\n\n<!-- end a -->\nsaid\n<!-- begin b -->\nkept\n<!-- end b -->\n"; got != want || err != nil {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	if _, err := system.ReplacePlace(page, "c", "x"); err == nil {
		t.Error("a place that is not there was filled")
	}
}

func TestTheDocsHavePlacesForAllTables(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{"speed", "fairness", "curve", "platforms"} {
		if _, err := system.ReplacePlace(string(page), place, "x"); err != nil {
			t.Error(err)
		}
	}
}

func TestBatchSendsEveryUserOnce(t *testing.T) {
	t.Parallel()
	request := requestTemplate("a.example:80", "key", 3)
	c := client{request: request, batch: 3, users: offsets(request, userDigits), companies: offsets(request, companyDigits)}
	c.number(7)
	for i, user := range []string{"u000000007@c000000007", "u000000008@c000000008", "u000000009@c000000009"} {
		if strings.Count(string(request), user) != 1 {
			t.Errorf("user %d, %s, is not in %s", i, user, request)
		}
	}
	if strings.Contains(string(request), userDigits) || !strings.Contains(string(request), "POST /v1/user-sync/batch ") {
		t.Errorf("got %s", request)
	}
}

func TestShapeForgetsConstantsAndLayout(t *testing.T) {
	t.Parallel()
	ours := "SELECT extract(epoch from now()), -1\n  FROM t WHERE a = 'x''y' AND b = $1 AND true LIMIT 10"
	theirs := "SELECT extract($3 from now()), $4 FROM t WHERE a = $5 AND b = $1 AND $6 LIMIT $7"
	if shape(ours) != shape(theirs) {
		t.Errorf("%q is not %q", shape(ours), shape(theirs))
	}
	if shape(ours) == shape("SELECT 1") {
		t.Error("all statements have one shape")
	}
}

func TestMeanwhileCountsWhatEndedDuringAWait(t *testing.T) {
	t.Parallel()
	second := func(n int64) time.Time { return time.Unix(n, 0) }
	ended := system.Received{Arrivals: map[string]system.Arrival{}}
	for n := range int64(10) {
		ended.Arrivals[second(n).String()] = system.Arrival{At: second(n).UnixNano()}
	}
	got := meanwhile(fairWaits{from: []time.Time{second(2), second(20)}, to: []time.Time{second(5), second(30)}}, ended)
	if !slices.Equal(got, []int{0, 3}) {
		t.Errorf("got %v", got)
	}
}

func TestCurveJudgesGrowth(t *testing.T) {
	t.Parallel()
	column := func(cost, rate float64) []figure {
		return []figure{number("cost", cost), {"rate", rate, true, whole(rate)}, {what: "said only", text: "x"}}
	}
	got := curveTable([]string{"10", "100"}, [][]figure{column(2, 900), column(4, 800)})
	want := [][]string{{"cost", "2.000", "4.000", "2.00", "no"}, {"rate", "900", "800", "1.12", "yes"}, {"said only", "x", "x", "", ""}}
	for i := range want {
		if !slices.Equal(got.rows[i], want[i]) {
			t.Errorf("got %q, want %q", got.rows[i], want[i])
		}
	}
}

func TestTakenIsTheShareOfStealSinceTheLastReading(t *testing.T) {
	t.Parallel()
	before := parseProcessors("cpu  100 0 50 800 10 0 20 20 7 0\ncpu0 1 2 3\n")
	if want := (processors{total: 1000, taken: 20}); before != want {
		t.Fatalf("read %+v, want %+v", before, want)
	}
	after := parseProcessors("cpu  150 0 60 820 10 0 20 40 9 0\n")
	if got := after.since(before); got != 0.2 {
		t.Errorf("taken %v, want 0.2", got)
	}
	if got := before.since(before); got != 0 {
		t.Errorf("taken %v in no time", got)
	}
	for _, text := range []string{"", "cpu 1 2 3", "intr 1 2 3 4 5 6 7 8 9", "cpu a b c d e f g h i"} {
		if got := parseProcessors(text); got != (processors{}) {
			t.Errorf("%q reads as %+v", text, got)
		}
	}
	if takenNote(0.049) != "" || takenNote(0.5) != "50 % of the processors taken by other machines" {
		t.Errorf("noted %q and %q", takenNote(0.049), takenNote(0.5))
	}
}
