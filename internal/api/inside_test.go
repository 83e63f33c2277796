package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

func TestParsePrefer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		sent []string
		want time.Duration
		ok   bool
	}{
		{nil, 0, false},
		{[]string{"wait=10"}, 10 * time.Second, true},
		{[]string{"respond-async, WAIT = 7 ; x=y"}, 7 * time.Second, true},
		{[]string{`wait="5"`}, 5 * time.Second, true},
		{[]string{"respond-async", "wait=3"}, 3 * time.Second, true},
		{[]string{"wait=1, wait=9"}, time.Second, true},
		{[]string{"wait=31"}, MaxWait, true},
		{[]string{"wait=99999999"}, MaxWait, true},
		{[]string{"wait=0"}, 0, true},
		{[]string{"wait=-1"}, 0, false},
		{[]string{"wait=1.5"}, 0, false},
		{[]string{"wait=99999999999999999999"}, 0, false},
		{[]string{"wait"}, 0, false},
		{[]string{"waits=10"}, 0, false},
	} {
		if got, ok := parsePrefer(test.sent); got != test.want || ok != test.ok {
			t.Errorf("%q: %v, %v; want %v, %v", test.sent, got, ok, test.want, test.ok)
		}
	}
}

func TestParseIdempotencyKey(t *testing.T) {
	t.Parallel()
	for sent, want := range map[string]string{
		"k": "k", `"k"`: "k", " k ": "k", strings.Repeat("k", 255): strings.Repeat("k", 255),
		"": "", `""`: "", `"`: "", `"k`: "", "a b": "", `"a b"`: "", "a\x7f": "", "é": "", strings.Repeat("k", 256): "",
	} {
		got, ok := parseIdempotencyKey([]string{sent})
		if got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v; want %q", sent, got, ok, want)
		}
	}
	if _, ok := parseIdempotencyKey([]string{"a", "b"}); ok {
		t.Error("two keys were taken for one")
	}
}

func TestCallersAskOnceForManyAndNotAgainForASecond(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	begun, goOn := make(chan struct{}), make(chan struct{})
	k := newCallers(func(ctx context.Context, _ string) (tenant.Caller, bool, error) {
		asked.Add(1)
		close(begun)
		<-goOn
		return tenant.Caller{}, true, ctx.Err()
	})
	// The one who asks goes away; those who wait must still be answered.
	gone, leave := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _, _, _ = k.find(gone, "h") })
	<-begun
	leave()
	for range 20 {
		running.Go(func() {
			if _, ok, err := k.find(context.Background(), "h"); !ok || err != nil {
				t.Errorf("%v, %v", ok, err)
			}
		})
	}
	impatient, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := k.find(impatient, "h"); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who went got %v", err)
	}
	close(goOn)
	running.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
}

// The clock of the process may be days off that of the database: keys end by the latter,
// also those that are remembered.
func TestKeysEndByTheDatabasesClock(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{-10 * 24 * time.Hour, 0, 10 * 24 * time.Hour} {
		read := time.Now().Add(off)
		for left, valid := range map[time.Duration]bool{time.Hour: true, -time.Hour: false} {
			key := tenant.Key{ID: "key", ExpiresAt: usersync.Time{Time: read.Add(left)}}
			k := newCallers(func(context.Context, string) (tenant.Caller, bool, error) {
				return tenant.Caller{Key: key, At: read}, true, nil
			})
			for _, which := range []string{"read", "remembered"} {
				c, ok, err := k.find(t.Context(), "h")
				if err != nil || !ok || c.At.Before(read) || c.At.Sub(read) > time.Minute || c.Key.ValidAt(c.At) != valid {
					t.Errorf("the database is off by %s, the key has %s left, %s: at %s, valid %v; %v", off, left, which, c.At, c.Key.ValidAt(c.At), err)
				}
			}
		}
	}
}

func TestCallersForgetErrors(t *testing.T) {
	t.Parallel()
	asked := 0
	k := newCallers(func(context.Context, string) (tenant.Caller, bool, error) {
		asked++
		if asked == 1 {
			return tenant.Caller{}, false, errors.New("away")
		}
		return tenant.Caller{}, true, nil
	})
	ctx := context.Background()
	if _, _, err := k.find(ctx, "h"); err == nil {
		t.Error("no error")
	}
	for range 2 {
		if _, ok, err := k.find(ctx, "h"); !ok || err != nil {
			t.Errorf("%v, %v", ok, err)
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times, want 2", asked)
	}
}

func TestARevokedKeyIsBelievedForASecondAtMost(t *testing.T) {
	t.Parallel()
	for _, known := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			now := known
			k := newCallers(func(context.Context, string) (tenant.Caller, bool, error) { return tenant.Caller{}, now, nil })
			find := func() bool {
				_, ok, err := k.find(t.Context(), "h")
				if err != nil {
					t.Error(err)
				}
				return ok
			}
			find()
			now = !known
			time.Sleep(time.Second - 1) // of the bubble's clock
			if find() != known {
				t.Errorf("known %v: asked again within a second", known)
			}
			time.Sleep(time.Nanosecond)
			if find() == known {
				t.Errorf("known %v: believed for longer than a second", known)
			}
		})
	}
}

func TestALookupThatPanicsIsAnErrorForAllWhoWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		goOn, asked := make(chan struct{}), 0
		k := newCallers(func(context.Context, string) (tenant.Caller, bool, error) {
			if asked++; asked > 1 {
				return tenant.Caller{}, true, nil
			}
			<-goOn
			panic("secret@example.com")
		})
		var running sync.WaitGroup
		for range 3 {
			running.Go(func() {
				if _, ok, err := k.find(t.Context(), "h"); ok || err == nil || strings.Contains(err.Error(), "secret") {
					t.Errorf("%v, %v", ok, err)
				}
			})
		}
		synctest.Wait()
		close(goOn)
		running.Wait()
		if _, ok, err := k.find(t.Context(), "h"); !ok || err != nil || asked != 2 {
			t.Errorf("%v, %v after %d lookups", ok, err, asked)
		}
	})
}

func TestCallersAreBounded(t *testing.T) {
	t.Parallel()
	k := newCallers(func(context.Context, string) (tenant.Caller, bool, error) { return tenant.Caller{}, false, nil })
	for i := range maxCallers + 100 {
		_, _, _ = k.find(context.Background(), fmt.Sprint(i))
	}
	if n := k.known.Len(); n > maxCallers {
		t.Errorf("%d callers remembered, want at most %d", n, maxCallers)
	}
}

func TestProcessesHoldOneLimitTogether(t *testing.T) {
	t.Parallel()
	limit, now := tenant.RateLimit{Rate: 0.001, Burst: 100}, time.Now()
	shared := map[string]int64{} // what both took
	var seen [2]map[string]int64
	processes := make([]*limits, 2)
	for i := range processes {
		seen[i] = map[string]int64{}
		processes[i] = newLimits(func(_ context.Context, took map[string]int64) (map[string]int64, error) {
			others := map[string]int64{}
			for id, n := range took {
				shared[id] += n
				seen[i][id] += n
				others[id] = shared[id] - seen[i][id]
				seen[i][id] = shared[id]
			}
			return others, nil
		})
	}
	granted := 0
	for range 20 {
		for _, l := range processes {
			for range 10 {
				if _, ok := l.take("key:write", limit, now); ok {
					granted++
				}
			}
			if err := l.exchangeOnce(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	}
	// One round of ten each may pass before the news is there.
	if granted < 100 || granted > 120 {
		t.Errorf("granted %d, want 100 to 120", granted)
	}
}

func TestDebtOfABucketIsBounded(t *testing.T) {
	t.Parallel()
	limit, now := tenant.RateLimit{Rate: 10, Burst: 100}, time.Now()
	l := newLimits(func(context.Context, map[string]int64) (map[string]int64, error) {
		return map[string]int64{"k": 1_000_000, "unknown": 5}, nil
	})
	l.take("k", limit, now)
	if err := l.exchangeOnce(context.Background()); err != nil {
		t.Fatal(err)
	}
	if tokens := l.buckets["k"].limiter.TokensAt(time.Now()); tokens < -101 || tokens > -90 {
		t.Errorf("%v tokens, want -100", tokens)
	}
	if _, ok := l.take("k", limit, now.Add(time.Minute)); !ok {
		t.Error("the bucket stays shut")
	}
}

func TestFullBucketsAreDropped(t *testing.T) {
	t.Parallel()
	limit, now := tenant.RateLimit{Rate: 10, Burst: 10}, time.Now()
	l := newLimits(nil)
	l.take("a", limit, now)
	l.sweep(now)
	l.drain()
	l.sweep(now)
	if len(l.buckets) != 1 {
		t.Fatalf("%d buckets, want the one that is not full", len(l.buckets))
	}
	l.sweep(now.Add(time.Second))
	if len(l.buckets) != 0 {
		t.Error("a full bucket was kept")
	}
}

func TestBucketFollowsAChangedLimit(t *testing.T) {
	t.Parallel()
	l, now := newLimits(nil), time.Now()
	l.take("a", tenant.RateLimit{Rate: 0.001, Burst: 1}, now)
	if _, ok := l.take("a", tenant.RateLimit{Rate: 0.001, Burst: 1}, now); ok {
		t.Fatal("the limit does not hold")
	}
	raised := tenant.RateLimit{Rate: 1000, Burst: 10}
	l.take("a", raised, now)
	if _, ok := l.take("a", raised, now.Add(time.Second)); !ok {
		t.Error("the raised limit does not hold")
	}
}

func TestReaderRefusesWhatIsNoJSON(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"a":1,}`:                     "line 1, column 8: a name in quotes was expected",
		`{"a" 1}`:                      "line 1, column 6: a colon was expected",
		`{a:1}`:                        "line 1, column 2: a name in quotes was expected",
		`{"a":1 "b":2}`:                "line 1, column 8: a comma or } was expected",
		`{"a":[1 2]}`:                  "line 1, column 9: a comma or ] was expected",
		`{"a":[1,]}`:                   "line 1, column 9: a value was expected",
		`{"a":01}`:                     "line 1, column 7: a comma or } was expected",
		`{"a":-}`:                      "line 1, column 7: a digit was expected",
		`{"a":1.}`:                     "line 1, column 8: a digit was expected",
		`{"a":1e}`:                     "line 1, column 8: a digit was expected",
		`{"a":.5}`:                     "line 1, column 6: a value was expected",
		`{"a":nul}`:                    "line 1, column 6: a value was expected",
		`{"a":tru`:                     "line 1, column 6: a value was expected",
		`{"a":'x'}`:                    "line 1, column 6: a value was expected",
		`{"a":`:                        "line 1, column 6: the text ends too early",
		`{"a":"\x"}`:                   "line 1, column 7: a wrong escape in a string",
		`{"a":"\u12"}`:                 "line 1, column 7: a wrong escape in a string",
		`{"a":"\u+123"}`:               "line 1, column 7: a wrong escape in a string",
		`{"a":"\udc00"}`:               "line 1, column 7: a wrong escape in a string",
		"{\"a\":\"\t\"}":               "line 1, column 7: a control character in a string",
		"{\n\"é\":\n\"äö\x00\"}":       "line 3, column 4: a control character in a string",
		"\ufeff{}":                     "line 1, column 1: a value was expected",
		``:                             "line 1, column 1: the text ends too early",
		`{"a"`:                         "line 1, column 5: a colon was expected",
		`{"a"::1}`:                     "line 1, column 6: a value was expected",
		`{"a":1,,"b":2}`:               "line 1, column 8: a name in quotes was expected",
		`{]`:                           "line 1, column 2: a name in quotes was expected",
		`[1`:                           "line 1, column 3: a comma or ] was expected",
		`[1}`:                          "line 1, column 3: a comma or ] was expected",
		`[,1]`:                         "line 1, column 2: a value was expected",
		`[1:2]`:                        "line 1, column 3: a comma or ] was expected",
		`,{}`:                          "line 1, column 1: a value was expected",
		`1,2`:                          "line 1, column 2: text behind the end",
		`-`:                            "line 1, column 2: a digit was expected",
		`1.`:                           "line 1, column 3: a digit was expected",
		`"\ud83d\u0041"`:               "line 1, column 2: a wrong escape in a string",
		`{"\u0000":1}`:                 "line 1, column 3: a wrong escape in a string",
		`"\\\u0000"`:                   "line 1, column 4: a wrong escape in a string",
		"{\"a\":[\"é\xff\"]}":          "line 1, column 9: not UTF-8",
		`"\u12`:                        "line 1, column 1: a string is not closed",
		"\"\\u0000\x01\"":              "line 1, column 8: a control character in a string",
		"[\xff]":                       "line 1, column 2: a value was expected",
		"{\"\xff\":1}":                 "line 1, column 3: not UTF-8",
		strings.Repeat("[", 100):       "line 1, column 65: values nest too deep",
		strings.Repeat(`{"a":`, 1<<16): "line 1, column 321: values nest too deep",
	} {
		r := NewReader([]byte(text))
		r.Skip()
		err := r.End()
		if got := usersync.AsError(err); err == nil || got.Message != "Malformed JSON at "+want {
			t.Errorf("%.40q: %v, want %s", text, err, want)
		}
	}
}

func TestReaderTakesTheLastOfEqualNames(t *testing.T) {
	t.Parallel()
	r, got := NewReader([]byte(`{"a":"first","\u0061":"last"}`)), ""
	for name := range r.Object() {
		if name == "a" {
			got = r.Text()
		}
	}
	if err := r.End(); err != nil || got != "last" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestReaderTakesWhatIsJustWithinItsRules(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth), `"\\u0000"`, `"\uD83D\uDE00\/"`, " [ -0.0e+00 ,\n{ \"\" : null }\t]\r\n",
	} {
		r := NewReader([]byte(text))
		r.Skip()
		if err := r.End(); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzReader(f *testing.F) {
	for _, seed := range []string{`{"a":[1,-2.5e3,"x\n",null,true]}`, `[[[`, `"\ud83d\ude00"`, "\xff", `{"":{}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r := NewReader(text)
		r.Skip()
		err := r.End()
		if err == nil && !json.Valid(text) {
			t.Fatalf("%q was read, but it is no JSON", text)
		}
		var v any
		if err != nil && json.Unmarshal(text, &v) == nil && !strictOnly(text) {
			t.Fatalf("%q is JSON, but gave %v", text, err)
		}
	})
}

// strictOnly reports whether text may hold what only we refuse: NUL, halves of
// surrogate pairs, wrong UTF-8, deep nesting.
func strictOnly(text []byte) bool {
	s := strings.ToLower(string(text)) // which replaces wrong UTF-8
	return strings.Contains(s, `\u0000`) || strings.Contains(s, `\ud`) || !utf8.Valid(text) ||
		strings.Count(s, "[")+strings.Count(s, "{") >= maxDepth
}
