package numbers_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/wablock/wablock/tasks/numbers"
	"github.com/wablock/wablock/tasks/user"
)

const (
	alice = "+16505551234"
	bob   = "+442079460018"
	carol = "US.13491208655302741918"
)

func reveal(users []user.ID) []string {
	var out []string
	for _, u := range users {
		out = append(out, u.Reveal())
	}
	return out
}

type rejections = []numbers.Rejection

func TestRead(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("5", 70<<10)
	for name, c := range map[string]struct {
		text     string
		users    []string
		rejected rejections
	}{
		"lines":           {text: alice + "\n" + bob + "\n", users: []string{alice, bob}},
		"no end of line":  {text: alice + "\n" + bob, users: []string{alice, bob}},
		"CR LF":           {text: alice + "\r\n" + bob + "\r\n", users: []string{alice, bob}},
		"CR alone":        {text: alice + "\rjunk\r" + bob + "\r", users: []string{alice, bob}, rejected: rejections{{"junk", 2, "holds a character that no phone number has"}}},
		"BOM":             {text: "\xef\xbb\xbf" + alice + "\n", users: []string{alice}},
		"BOM and header":  {text: "\xef\xbb\xbfphone\n" + alice + "\n", users: []string{alice}},
		"blanks, comment": {text: "\n# spam\n\n  \n" + alice + "\n#" + bob + "\n\t\n", users: []string{alice}},
		"duplicates":      {text: "+1 650-555-1234\n0016505551234\n(+1) 650.555.1234\n" + bob, users: []string{alice, bob}},
		"BSUID":           {text: carol, users: []string{carol}},
		"first column":    {text: alice + ",Alice,x\n" + bob + ",Bob\n", users: []string{alice, bob}},
		"semicolons":      {text: "name;Phone Number;x\nA;" + alice + ";1\n;" + bob + "\n;;;\n", users: []string{alice, bob}},
		"tabs":            {text: "name\tNUMBER\nA\t" + alice + "\n", users: []string{alice}},
		"comma found late": {
			text: alice + "\n" + bob + ";Bob\n", users: []string{alice, bob},
		},
		"sep line":        {text: "sep=;\r\nuser;name\r\n" + alice + ";\"A, B; C\"\r\n", users: []string{alice}},
		"quotes":          {text: "\"name\", \"phone\"\n\"A, \"\"B\"\"\" , \"" + alice + "\" \n", users: []string{alice}},
		"text in a sheet": {text: "phone,n\n'" + alice + ",1\n\"=\"\"" + bob + "\"\"\",2\n", users: []string{alice, bob}},
		"lines in quotes": {
			text:  "name,phone\n\"A\nof\r\nB\"," + alice + "\nC,junk\n" + `"D","` + bob + "\"\n",
			users: []string{alice, bob}, rejected: rejections{{"junk", 5, "holds a character that no phone number has"}},
		},
		"a quote that never closes": {
			text: "\"" + alice + "\n" + bob + "\n", users: []string{bob},
			rejected: rejections{{"\"" + alice, 1, "a quotation mark that never closes"}},
		},
		"a quote that closes elsewhere": {
			text: "a,\"" + alice + "\n" + bob + "\nx,\"y\"\n", users: []string{bob},
			rejected: rejections{
				{"a,\"" + alice, 1, "a quotation mark that does not close its field"},
				{"x", 3, "holds a character that no phone number has"},
			},
		},
		"a quote inside": {text: alice + ",5\" pipe\n" + bob + ",x\n", users: []string{alice, bob}},
		"rejected lines": {
			text: "number\n" + alice + "\n12345\n\n06505551234\n1.65056E+10\n" + bob + "\n", users: []string{alice, bob},
			rejected: rejections{
				{"12345", 3, "too short to be a phone number"},
				{"06505551234", 5, "no country code: it must start with + and the country's calling code"},
				{"1.65056E+10", 6, "rounded by a spreadsheet: format the column as text and export it again"},
			},
		},
		"a row without the column": {
			text: "id,phone\n1," + alice + "\n2\n3,\n", users: []string{alice},
			rejected: rejections{{"2", 3, "the row has no column 2, where the numbers are"}, {"", 4, "empty"}},
		},
		"a long line": {
			text: alice + "\n" + long + "\n" + bob + "\n", users: []string{alice, bob},
			rejected: rejections{{long[:200] + "…", 2, "the line is longer than 64 KiB"}},
		},
		"a label as header":  {text: alice + ",phone\n" + bob + ",user\n", users: []string{alice, bob}},
		"a number as header": {text: alice + "\nphone\n", users: []string{alice}, rejected: rejections{{"phone", 2, "holds a character that no phone number has"}}},
		"Latin-1":            {text: "name,phone\nM\xfcller," + alice + "\n", users: []string{alice}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for kind, r := range map[string]io.Reader{
				"whole": strings.NewReader(c.text), "byte by byte": iotest.OneByteReader(strings.NewReader(c.text)),
			} {
				list, err := numbers.Read(r, numbers.Options{})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(c.users, reveal(list.Users)); diff != "" {
					t.Errorf("%s: users: %s", kind, diff)
				}
				if diff := cmp.Diff(c.rejected, list.Rejected); diff != "" {
					t.Errorf("%s: rejected: %s", kind, diff)
				}
			}
		})
	}
}

func TestUTF16(t *testing.T) {
	t.Parallel()
	for name, order := range map[string]binary.AppendByteOrder{"little": binary.LittleEndian, "big": binary.BigEndian} {
		var file []byte
		for _, u := range utf16.Encode([]rune("\ufeffname\tphone\r\nZoë 😀\t" + alice + "\r\nB\t" + bob + "\r\n")) {
			file = order.AppendUint16(file, u)
		}
		for _, tail := range []string{"", "\x00"} { // cut in the middle of a character
			list, err := numbers.Read(bytes.NewReader(append(file, tail...)), numbers.Options{})
			if diff := cmp.Diff([]string{alice, bob}, reveal(list.Users)); err != nil || diff != "" {
				t.Errorf("%s: %v %s", name, err, diff)
			}
		}
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk is gone")
	for name, c := range map[string]struct {
		file io.Reader
		want error
		text string
	}{
		"nothing":        {strings.NewReader(""), numbers.ErrEmpty, "it is empty"},
		"a BOM alone":    {strings.NewReader("\xef\xbb\xbf"), numbers.ErrEmpty, "it is empty"},
		"comments alone": {strings.NewReader("# a\n\n# b"), numbers.ErrEmpty, "it is empty"},
		"a header alone": {strings.NewReader("phone\n"), numbers.ErrEmpty, "header"},
		"junk alone":     {strings.NewReader("\n1junk\n+1\n"), numbers.ErrEmpty, "2 rejected, the first in line 2"},
		"an ELF":         {strings.NewReader("\x7fELF\x02\x01\x01\x00\x00\x00"), numbers.ErrBinary, "zero bytes"},
		"a zip":          {strings.NewReader("PK\x03\x04 and so on"), numbers.ErrBinary, "xlsx"},
		"an xls":         {strings.NewReader("\xd0\xcf\x11\xe0\xa1"), numbers.ErrBinary, "CSV"},
		"a PDF":          {strings.NewReader("%PDF-1.7\n+16505551234"), numbers.ErrBinary, "PDF"},
		"a gzip":         {strings.NewReader("\x1f\x8b\x08"), numbers.ErrBinary, "gzip"},
		"control":        {strings.NewReader(strings.Repeat("\x01\x02a", 99)), numbers.ErrBinary, "control"},
		"zeros, late":    {strings.NewReader(strings.Repeat(alice+"\n", 1000) + "\x00\n" + bob), numbers.ErrBinary, "zero bytes"},
		"UTF-16, no BOM": {strings.NewReader("+\x001\x006\x00"), numbers.ErrBinary, "UTF-8"},
		"a read error":   {io.MultiReader(strings.NewReader(alice+"\n"), iotest.ErrReader(broken)), broken, "disk"},
		"at once":        {iotest.ErrReader(broken), broken, "disk"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			list, err := numbers.Read(c.file, numbers.Options{})
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) || len(list.Users) != 0 {
				t.Fatalf("%d users, %v; want %v", len(list.Users), err, c.want)
			}
		})
	}
	list, err := numbers.Read(strings.NewReader("junk\njunk\n"), numbers.Options{})
	if len(list.Rejected) != 1 || err == nil {
		t.Errorf("%v; the list of a file of junk: %+v", err, list)
	}
}

func TestRejectionJSON(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(numbers.Rejection{Input: "+1", Line: 3, Reason: "too short"})
	if err != nil || string(b) != `{"input":"+1","line":3,"reason":"too short"}` {
		t.Error(string(b), err)
	}
}

// bigFile has n lines, every hundredth of which is broken.
func bigFile(n int) string {
	var b strings.Builder
	for i := range n {
		if i%100 == 99 {
			b.WriteString("\"12,\n")
			continue
		}
		fmt.Fprintf(&b, "+1650%07d,name %d\n", 5000000+i, i)
	}
	return b.String()
}

func TestBigFile(t *testing.T) {
	t.Parallel()
	list, err := numbers.Read(strings.NewReader(bigFile(20_000)), numbers.Options{})
	if err != nil || len(list.Users) != 19_800 || len(list.Rejected) != 200 {
		t.Fatalf("%d users, %d rejected, %v", len(list.Users), len(list.Rejected), err)
	}
	for i, r := range list.Rejected {
		if r.Line != 100*(i+1) {
			t.Fatalf("rejection %d says line %d", i, r.Line)
		}
	}
}

// What is written as CSV by the rules is read as it was.
func TestReadUndoesQuoting(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		comma := rapid.SampledFrom([]string{",", ";", "\t"}).Draw(t, "comma")
		end := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "end")
		names := rapid.SliceOfN(rapid.StringMatching(`[a-z ,;"\n\t#]{0,12}`), 1, 20).Draw(t, "names")
		var file strings.Builder
		file.WriteString("name" + comma + "phone" + end)
		var want []string
		for i, name := range names {
			file.WriteString(`"` + strings.ReplaceAll(name, `"`, `""`) + `"` + comma)
			fmt.Fprintf(&file, "+1650%07d%s", 5000000+i, end)
			want = append(want, fmt.Sprintf("+1650%07d", 5000000+i))
		}
		list, err := numbers.Read(strings.NewReader(file.String()), numbers.Options{})
		if err != nil || len(list.Rejected) > 0 {
			t.Fatalf("%v, rejected %+v", err, list.Rejected)
		}
		if diff := cmp.Diff(want, reveal(list.Users)); diff != "" {
			t.Fatal(diff)
		}
	})
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{
		alice + "\n" + bob, "name;phone\r\n\"A\nB\";" + alice, "\"" + alice + "\n\"x\"y\n\n#\n", "sep=;\nuser;x\n",
		"\xff\xfe+\x001\x00", "\xef\xbb\xbfphone\r" + carol, "a,\"\"\"\",\"", "PK\x03\x04", "\x00",
		"#,Phone,Name\n1," + alice, "user,phone_number\n4912345678," + bob, alice + "," + bob, "Country Code;Phone\n+1;6465551234\n", "1,65E+10\n919876543210,0\n",
		"a,\"b\n" + alice + "\n\"," + bob, "16505551234@s.whatsapp.net\nwa.me/16505551234\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		list, err := numbers.Read(bytes.NewReader(file), numbers.Options{})
		if (err == nil) != (len(list.Users) > 0) {
			t.Fatalf("%d users, %v", len(list.Users), err)
		}
		lines := 1 + bytes.Count(file, []byte("\n")) + bytes.Count(file, []byte("\r"))
		if n := len(list.Users) + len(list.Rejected); n > max(lines, len(file)) {
			t.Fatalf("%d numbers and rejections in %d lines", n, lines)
		}
		seen := map[user.ID]bool{}
		var again strings.Builder
		for _, u := range list.Users {
			if u.IsZero() || seen[u] {
				t.Fatal("a zero user, or one twice")
			}
			seen[u] = true
			again.WriteString(u.Reveal() + "\n")
		}
		if same, _ := numbers.Read(strings.NewReader(again.String()), numbers.Options{}); !slices.Equal(same.Users, list.Users) {
			t.Fatalf("%q reads as others: %q", again.String(), reveal(same.Users))
		}
		last := 0
		for _, r := range list.Rejected {
			if r.Reason == "" || r.Line <= last || r.Line > max(lines, len(file)) || len(r.Input) > 300 {
				t.Fatalf("%+v after line %d", r, last)
			}
			last = r.Line
		}
		if err != nil && user.Scrub(err.Error()) != err.Error() {
			t.Fatalf("the error holds what could be a number: %v", err)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	file := bigFile(100_000)
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := numbers.Read(strings.NewReader(file), numbers.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
