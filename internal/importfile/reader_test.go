package importfile

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/unicode"

	"usersync/internal/usersync"
)

// read returns every row and every line's error as text.
func read(t *testing.T, text string, o Options) (rows []Row, faults []string, r *Reader) {
	t.Helper()
	if o.Fields == nil {
		o.Fields = People
	}
	r, err := Open(strings.NewReader(text), o)
	if err != nil {
		t.Fatal(err)
	}
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			return rows, faults, r
		}
		if wrong, ok := errors.AsType[*LineError](err); ok {
			faults = append(faults, wrong.Error())
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
}

// said writes rows as "line field=value …".
func said(rows []Row) (out []string) {
	for _, row := range rows {
		text := fmt.Sprint(row.Line)
		for _, f := range slices.Sorted(maps.Keys(row.Values)) {
			text += fmt.Sprintf(" %s=%s", f, row.Values[f])
		}
		for _, name := range slices.Sorted(maps.Keys(row.Others)) {
			text += fmt.Sprintf(" %s:%v", name, row.Others[name])
		}
		out = append(out, text)
	}
	return out
}

func TestColumnsOfUsualExportsAreKnown(t *testing.T) {
	t.Parallel()
	known := namesOf(People)
	for name, want := range map[string]Field{
		"User Name": Email, "User principal name": Email, "Email Address [Required]": Email, "Person - Email - Work": Email, "E-mail (work)": Email,
		"Primary Email": Email, "Contact Email Address": Email, "Email - Primary": Email, "Work Email Address (required)": Email,
		"Mailing Country": Country, "Business Country/Region": Country, "Billing Country": Country, "Person - Country": Country,
		"First Name [Required]": FirstName, "Person - First name": FirstName, "Contact Last Name": LastName, "Person - Name": Name,
		"Person - Job title": JobTitle, "Employee Title": JobTitle, "Organization - Name": CompanyName, "Person - Organization": CompanyName, "Company Website": Website, "Business Name": CompanyName,
	} {
		if m, _ := known.find(name); m.field != want {
			t.Errorf("%q is %q, want %s", name, m.field, want)
		}
	}
	for _, name := range []string{"Person", "Business Phone", "Mailing Street", "Work", "[Required]", "Email Status", "Email opt out", "Shoe size", ""} {
		if m, ok := known.find(name); ok {
			t.Errorf("%q is taken for %s", name, m.field)
		}
	}
	rows, _, _ := read(t, "User Name,Email Address [Required],Mailing Country,Country\nann,a@x.example,DE,FR\n", Options{})
	if got := said(rows); !slices.Equal(got, []string{"2 country=FR email=a@x.example"}) {
		t.Errorf("the surer names do not count: %q", got)
	}
}

func TestRowsAreRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		o          Options
		rows       []string
		faults     []string
		ignored    []string
	}{
		{name: "plain", text: "email,name\na@x.example,Ann\nb@x.example,Bob\n", rows: []string{"2 email=a@x.example name=Ann", "3 email=b@x.example name=Bob"}},
		{name: "without a last line end", text: "email\na@x.example", rows: []string{"2 email=a@x.example"}},
		{name: "CR LF", text: "email;name\r\na@x.example;Ann\r\n", rows: []string{"2 email=a@x.example name=Ann"}},
		{name: "CR alone", text: "email;name\ra@x.example;Ann\rb@x.example;Bob", rows: []string{"2 email=a@x.example name=Ann", "3 email=b@x.example name=Bob"}},
		{name: "tabs", text: "E-Mail\tJob Title\na@x.example\tCTO, acting\n", rows: []string{"2 email=a@x.example jobTitle=CTO, acting"}},
		{name: "a comma within a name of a semicolon's file", text: "Name, Vorname;Mail\nLee, Ann;a@x.example\n",
			rows: []string{"2 email=a@x.example"}, ignored: []string{"Name, Vorname"}},
		{name: "a line for spreadsheet programs", text: "sep=|\nemail|name\na@x.example|Ann\n", rows: []string{"3 email=a@x.example name=Ann"}},
		{name: "empty lines and rows", text: "\n\nemail,name\n\n,\na@x.example,Ann\n , \n", rows: []string{"6 email=a@x.example name=Ann"}},
		{name: "spaces", text: " email , name \n a@x.example , Ann Lee \n", rows: []string{"2 email=a@x.example name=Ann Lee"}},
		{name: "quotes", text: "email,\"name\"\n\"a@x.example\", \"Ann \"\"A\"\" Lee, Dr.\" \nb@x.example,5\" Bob\n",
			rows: []string{`2 email=a@x.example name=Ann "A" Lee, Dr.`, `3 email=b@x.example name=5" Bob`}},
		{name: "a field of several lines", text: "email,title\na@x.example,\"CTO\nand\n\nmore\"\nb@x.example,CEO\n",
			rows: []string{"2 email=a@x.example jobTitle=CTO\nand\n\nmore", "6 email=b@x.example jobTitle=CEO"}},
		{name: "a stray quote spoils its line only", text: "email,title\na@x.example,\"CTO\nb@x.example,\"CEO\"\nc@x.example,CFO\n",
			rows: []string{"3 email=b@x.example jobTitle=CEO", "4 email=c@x.example jobTitle=CFO"}, faults: []string{"line 2 has text behind a closing quote"}},
		{name: "a quote never closed spoils its line only", text: "email,title\na@x.example,\"CTO\nb@x.example,CEO\n",
			rows: []string{"3 email=b@x.example jobTitle=CEO"}, faults: []string{"line 2 has a quoted field that is not closed"}},
		{name: "numbers of fields", text: "email,name\na@x.example\nb@x.example,Bob,more\nc@x.example,Cy,,\n", rows: []string{"2 email=a@x.example", "4 email=c@x.example name=Cy"},
			faults: []string{"line 3 has 3 fields; the header names 2"}},
		{name: "last cells left out", text: "name;title;email;country\nAnn;;a@x.example\nBob;CTO;b@x.example;\n",
			rows: []string{"2 email=a@x.example name=Ann", "3 email=b@x.example jobTitle=CTO name=Bob"}},
		{name: "notes before the header", text: "People of 2026\n\nexported, by Ann\n\"of e-mail, name\"\nemail,name\na@x.example,Ann\n",
			rows: []string{"6 email=a@x.example name=Ann"}},
		{name: "a header in the tenth line", text: strings.Repeat("note\n", 9) + "email\na@x.example\n", rows: []string{"11 email=a@x.example"}},
		{name: "a quoted line for spreadsheet programs", text: "\"sep=;\"\nemail;name\na@x.example;Ann\n", rows: []string{"3 email=a@x.example name=Ann"}},
		{name: "CR alone, and LF within quotes", text: "email;title\ra@x.example;\"CTO\nand more\"\rb@x.example;CEO\r",
			rows: []string{"2 email=a@x.example jobTitle=CTO\nand more", "4 email=b@x.example jobTitle=CEO"}},
		{name: "a header that ends otherwise than the rows", text: "email;name\na@x.example;Ann\rb@x.example;Bob\r\nc@x.example;Cy",
			rows: []string{"2 email=a@x.example name=Ann", "3 email=b@x.example name=Bob", "4 email=c@x.example name=Cy"}},
		{name: "CR CR LF", text: "email;name\r\r\na@x.example;Ann\r\r\nb@x.example;Bob\r\r\n", rows: []string{"2 email=a@x.example name=Ann", "3 email=b@x.example name=Bob"}},
		{name: "an end-of-file mark", text: "email\r\na@x.example\r\n\x1a", rows: []string{"2 email=a@x.example"}},
		{name: "an end-of-file mark behind the last line", text: "email\na@x.example\x1a", rows: []string{"2 email=a@x.example"}},
		{name: "an end-of-file mark behind JSON lines", text: "{\"email\":\"a@x.example\"}\n\x1a\n", rows: []string{"1 email=a@x.example"}},
		{name: "a line too long", text: "email\n" + strings.Repeat("x", maxLine+1) + "\na@x.example\n" + strings.Repeat("x", 3*maxLine),
			rows: []string{"3 email=a@x.example"}, faults: []string{"line 2 is longer than 64 KiB", "line 4 is longer than 64 KiB"}},
		{name: "the longest line", text: "email,name\r\n," + strings.Repeat("x", maxLine-1) + "\r\n", rows: []string{"2 name=" + strings.Repeat("x", maxLine-1)}},
		{name: "NUL", text: "email,name\na@x.example,A\x00nn\nb@x.example,Bob\n", rows: []string{"3 email=b@x.example name=Bob"}, faults: []string{"line 2 holds a NUL character"}},
		{name: "a damaged character", text: "email,name\na@x.example,Zoë\nb@x.example,Zo\xeb\nc@x.example,Zoé\n", rows: []string{"2 email=a@x.example name=Zoë", "4 email=c@x.example name=Zoé"},
			faults: []string{"line 3 holds bytes that are no characters of the file's encoding"}},
		{name: "unknown columns", text: "email,Shoe size,\na@x.example,43,x\n", rows: []string{"2 email=a@x.example"}, ignored: []string{"Shoe size"}},
		{name: "unknown columns kept", text: "email,Shoe size\na@x.example,43\n", o: Options{Others: true}, rows: []string{"2 email=a@x.example Shoe size:43"}, ignored: []string{"Shoe size"}},
		{name: "the surer of two columns", text: "Mail,Position,email,Job Title\na@x.example,1,b@x.example,2\n",
			rows: []string{"2 email=b@x.example jobTitle=2"}, ignored: []string{"Mail", "Position"}},
		{name: "JSON lines", text: "{\"email\":\"a@x.example\",\"firstName\":\" Ann \",\"photo\":null}\n\n {\"E-Mail\":\"b@x.example\",\"x\":1}",
			rows: []string{"1 email=a@x.example firstName=Ann", "3 email=b@x.example"}, ignored: []string{"x"}},
		{name: "wrong JSON lines", text: "{\"email\":\"a@x.example\"}\n{\"email\":\n[1]\n{} {}\n{\"email\":7}\n{\"name\":\"\\u0000\"}\n{\"x\":[{\"\\u0000\":1}]}\n",
			rows: []string{"1 email=a@x.example"}, ignored: nil,
			faults: []string{"line 2 is not valid JSON", "line 3 is not a JSON object", "line 4 is not valid JSON", "line 5: email must be a text",
				"line 6 holds a NUL character", "line 7 holds a NUL character"}},
		{name: "others of JSON lines", text: `{"mail":"a@x.example","email":"b@x.example","plan":"pro","attributes":{"seats":3,"vip":true},"none":null}`, o: Options{Others: true},
			rows: []string{"1 email=b@x.example plan:pro seats:3 vip:true"}, ignored: []string{"none", "plan"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rows, faults, r := read(t, c.text, c.o)
			if got := said(rows); !slices.Equal(got, c.rows) {
				t.Errorf("rows\n%q, want\n%q", got, c.rows)
			}
			if !slices.Equal(faults, c.faults) {
				t.Errorf("faults %q, want %q", faults, c.faults)
			}
			if got := r.Ignored(); !slices.Equal(got, c.ignored) {
				t.Errorf("ignored %q, want %q", got, c.ignored)
			}
		})
	}
}

func TestColumnNamesAreMatchedLeniently(t *testing.T) {
	t.Parallel()
	known := namesOf(slices.Concat(People, []Field{InviteLink}))
	for name, want := range map[string]Field{
		"email": Email, "E-Mail": Email, "e_mail ": Email, "Email Address": Email, "EMAIL-ADRESSE": Email, "Mail": Email, "correo electrónico": Email,
		"Adresse e-mail": Email, "E-mail 1 - Value": Email, "Sähköposti": Email,
		"Vorname": FirstName, "first name": FirstName, "FIRST_NAME": FirstName, "Prénom": FirstName,
		"Nachname": LastName, "Family-Name": LastName, "Surname": LastName,
		"Name": Name, "Full Name": Name, "Vollständiger Name": Name,
		"job title": JobTitle, "Position": JobTitle, "Titel": JobTitle, "Función": "", "Funktion": JobTitle, "jobTitle": JobTitle,
		"Land": Country, "country code": Country, "País": Country, "Country/Region": Country,
		"Firma": CompanyName, "company": CompanyName, "Société": CompanyName, "Organisation": CompanyName,
		"Web site": Website, "URL": Website, "Foto": Photo, "Picture URL": Photo, "invite link": InviteLink,
		"Shoe size": "", "": "", "---": "",
	} {
		if m, _ := known.find(name); m.field != want {
			t.Errorf("%q is taken for %q, want %q", name, m.field, want)
		}
	}
}

func TestEveryFieldIsFoundByItsOwnNameFirst(t *testing.T) {
	t.Parallel()
	owner := map[string]Field{}
	for f, words := range synonyms {
		list := strings.Fields(words)
		if list[0] != fold(string(f)) {
			t.Errorf("the first name of %s is %s", f, list[0])
		}
		for _, word := range list {
			if word != fold(word) {
				t.Errorf("%s is not folded", word)
			}
			if other, taken := owner[word]; taken {
				t.Errorf("%s stands for %s and %s", word, other, f)
			}
			owner[word] = f
		}
	}
}

func TestEncodingsAreDetectedOrDeclared(t *testing.T) {
	t.Parallel()
	const text = "email;name\nzoe@x.example;Zoë Müller – “Büro”\n"
	const ascii = "email;name\nzoe@x.example;Zoe\n"
	encode := func(s string, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	utf16 := func(e unicode.Endianness, bom unicode.BOMPolicy, s string) string {
		return encode(unicode.UTF16(e, bom).NewEncoder().String(s))
	}
	latin := encode(charmap.Windows1252.NewEncoder().String(text))
	late := strings.Repeat("x@x.example;Xi\n", maxLine/10) // beyond the bytes that the detection reads
	for _, c := range []struct {
		name, file, charset, encoding, want string
	}{
		{"UTF-8", text, "", utf8Name, text},
		{"UTF-8 with a mark", "\xef\xbb\xbf" + text, "", utf8Name, text},
		{"a mark against the declaration", "\xef\xbb\xbf" + text, "iso-8859-1", utf8Name, text},
		{"ASCII", ascii, "", utf8Name, ascii},
		{"UTF-16 LE with a mark", utf16(unicode.LittleEndian, unicode.UseBOM, text), "", utf16leName, text},
		{"UTF-16 BE with a mark", utf16(unicode.BigEndian, unicode.UseBOM, text), "", utf16beName, text},
		{"UTF-16 LE", utf16(unicode.LittleEndian, unicode.IgnoreBOM, text), "", utf16leName, text},
		{"UTF-16 BE", utf16(unicode.BigEndian, unicode.IgnoreBOM, text), "", utf16beName, text},
		{"UTF-16 BE declared as just UTF-16", utf16(unicode.BigEndian, unicode.IgnoreBOM, text), "utf-16", utf16beName, text},
		{"Windows-1252", latin, "", latinName, text},
		{"declared Latin-1", latin, "ISO-8859-1", latinName, text},
		{"declared in quotes", latin, `"latin1"`, latinName, text},
		{"declared ASCII that is more", latin, "us-ascii", latinName, text},
		{"Windows-1252 that shows late", "email;name\n" + late + "zo\xeb@x.example;Zo\xeb\n", "", latinName, "email;name\n" + late + "zoë@x.example;Zoë\n"},
		{"UTF-8 that shows late", "email;name\n" + late + "x@x.example;Zoë\n", "", utf8Name, "email;name\n" + late + "x@x.example;Zoë\n"},
		{"Shift JIS declared", encode(japanese.ShiftJIS.NewEncoder().String("email;name\na@x.example;山田ソ\n")), "shift_jis", "shift_jis", "email;name\na@x.example;山田ソ\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rows, faults, r := read(t, c.file, Options{Charset: c.charset})
			want, _, _ := read(t, c.want, Options{Charset: "utf-8"})
			if len(faults) > 0 || !reflect.DeepEqual(rows, want) || r.Encoding() != c.encoding {
				t.Errorf("%d rows %v in %s, want %d in %s", len(rows), faults, r.Encoding(), len(want), c.encoding)
			}
		})
	}
}

func TestFilesThatCannotBeReadAreRefused(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, c := range []struct {
		name string
		from io.Reader
		o    Options
		want string
	}{
		{"empty", strings.NewReader(""), Options{}, "The file is empty."},
		{"blank", strings.NewReader("\n \n"), Options{}, "The file is empty."},
		{"without addresses", strings.NewReader("Name;Firma\nAnn;Acme\n"), Options{}, "No column holds e-mail addresses; the first line names: Name, Firma."},
		{"with many columns", strings.NewReader(strings.Repeat("x,", 100)), Options{}, "No column holds e-mail addresses; the first line names: " + strings.Repeat("x, ", 20) + "…."},
		{"with a header that is not closed", strings.NewReader("\"email\n"), Options{}, "The first line, which names the columns, has a quoted field that is not closed."},
		{"with a header without end", strings.NewReader(strings.Repeat("x", 2*maxLine)), Options{Format: CSV}, "The first line, which names the columns, is longer than 64 KiB."},
		{"in a charset nobody knows", strings.NewReader("email\n"), Options{Charset: "klingon"}, "The charset that was declared is not known; send UTF-8, UTF-16 or Windows-1252, or declare one of the Encoding Standard."},
		{"in a charset that hides", strings.NewReader("email\n"), Options{Charset: "hz-gb-2312"}, "The charset that was declared is not supported; send the file as UTF-8."},
		{"broken off", iotest.ErrReader(broken), Options{}, "find the encoding of the file: read the beginning of the file: broken"},
	} {
		c.o.Fields = People
		_, err := Open(c.from, c.o)
		if err == nil {
			t.Errorf("a file %s is taken", c.name)
			continue
		}
		got := err.Error()
		if e, ok := errors.AsType[*usersync.Error](err); ok {
			got = e.Message
		}
		if got != c.want {
			t.Errorf("a file %s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestAnErrorOfTheSourceEndsTheReading(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	r, err := Open(io.MultiReader(strings.NewReader("email\n"+strings.Repeat("a@x.example\n", maxLine)), iotest.ErrReader(broken)), Options{Fields: People})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for ; err == nil; n++ {
		_, err = r.Next()
	}
	if !errors.Is(err, broken) || n < maxLine/2 {
		t.Errorf("%v after %d rows", err, n)
	}
}

// endless writes the same line again and again.
type endless struct {
	line string
	left int
	at   int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n := copy(p, e.line[e.at:])
	if e.at += n; e.at == len(e.line) {
		e.at, e.left = 0, e.left-1
	}
	return n, nil
}

func TestReadingIsBoundedInMemory(t *testing.T) {
	for name, line := range map[string]string{
		"plain lines":             "someone@x.example,Someone\n",
		"quotes that never end":   "a@x.example,\"\n",
		"a field without end":     "\"\"\"\n",
		"a line without end":      strings.Repeat("x", 1000),
		"columns without meaning": "{\"email\":\"a\",\"b\":\"c\"}\n",
	} {
		r, err := Open(io.MultiReader(strings.NewReader("email,name\n"), &endless{line: line, left: 6 << 20 / len(line)}), Options{Fields: People})
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for n := 0; !errors.Is(err, io.EOF); n++ {
			if _, err = r.Next(); n%100_000 != 0 {
				continue
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 2<<20 {
				t.Fatalf("%s: the heap grew by %d KiB after %d lines", name, grown>>10, n)
			}
		}
	}
}

// TestEveryLineCostsWhatItsBytesCost reads files that were made to be read many times
// over: in each every line opens a quoted field that no line closes, so that a record
// goes on for 64 KiB. Read without a bound, each would take minutes.
func TestEveryLineCostsWhatItsBytesCost(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]string{
		"opened anew behind each closing quote": "a\",\"\n",
		"opened by every second line":           "a,\"\nb,\"\n",
		"closed by nonsense":                    "\"a\n\"b\n",
		"blank":                                 "\n",
		"one letter":                            "x\n",
	} {
		file := "email,name\n" + strings.Repeat(one, 500_000/len(one))
		r, err := Open(strings.NewReader(file), Options{Format: CSV, Fields: People})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for n := 0; ; n++ {
			if time.Since(began) > 20*time.Second {
				t.Fatalf("%s: only %d lines read", name, n)
			}
			_, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if _, wrong := errors.AsType[*LineError](err); err != nil && !wrong {
				t.Fatal(err)
			}
		}
		t.Logf("%s: %v", name, time.Since(began))
	}
}

// TestLinesOfAFileAreBounded checks that a file with one line too many ends with an
// error about the file, and one with exactly as many lines does not, whatever the
// lines hold.
func TestLinesOfAFileAreBounded(t *testing.T) {
	t.Parallel()
	const most = 10
	for _, line := range []string{"x", "", "\"", "\"x", "a,\""} {
		for _, lines := range []int{most - 1, most, most + 1, 2 * most} {
			file := "email,name\n" + strings.Repeat(line+"\n", lines-1)
			r, err := Open(strings.NewReader(file), Options{Format: CSV, Fields: People, MaxLines: most})
			for err == nil {
				_, err = r.Next()
				if _, wrong := errors.AsType[*LineError](err); wrong {
					err = nil
				}
			}
			if tooMany := usersync.CodeOf(err) == usersync.CodeInvalid; tooMany != (lines > most) || !tooMany && !errors.Is(err, io.EOF) {
				t.Errorf("%d lines of %q: %v", lines, line, err)
			}
		}
	}
}
