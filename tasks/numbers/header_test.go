package numbers_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/tasks/numbers"
	"github.com/wablock/wablock/tasks/user"
)

const (
	dave = "+6465551234"  // New Zealand; without its plus a number of New York too
	erin = "+16465551234" // that one
)

func country(t *testing.T, s string) user.Country {
	t.Helper()
	c, err := user.ParseCountry(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestHeadersThatPeopleWrite puts each header between an ID that would pass for a number and a
// column of names.
func TestHeadersThatPeopleWrite(t *testing.T) {
	t.Parallel()
	for _, header := range []string{
		"user", "phone", "phone_number", "number", "User", "PHONE NUMBER", "phone-number", " Phone ", "phoneNumber", "Phone No.", "Mobile", "mobile_number", "Mobile No",
		"Cell Phone", "WhatsApp", "WhatsApp Number", "whatsapp_id", "wa_id", "MSISDN", "e164", "E.164", "Phone 1 - Value", "Customer Phone", "Billing Phone", "Contact Number", "Tel.",
		"Teléfono", "Telefono movil", "Número de teléfono", "Nro. de celular", "Celular", "Telefone", "Nº do celular", "Número de WhatsApp", "Telemóvel",
		"Téléphone", "N° de téléphone", "Numéro de portable", "GSM", "Handynummer", "Telefonnummer", "Telefon-Nr.", "Rufnummer", "Cellulare", "Numero di telefono", "Telefoonnummer", "Mobilnummer", "Puhelinnumero",
		"Numer telefonu", "Telefonní číslo", "Telefonszám", "Număr de telefon", "Telefon numarası", "CEP TELEFONU", "No HP", "Nomor WhatsApp", "Số điện thoại", "SĐT",
		"Номер телефона", "Мобильный", "Телефон", "Κινητό", "رقم الهاتف", "رقم الجوال", "מספר טלפון", "נייד", "شماره موبایل", "मोबाइल नंबर", "फ़ोन", "মোবাইল নম্বর", "தொலைபேசி எண்", "เบอร์โทรศัพท์",
		"手机号码", "电话", "電話番号", "携帯番号", "휴대폰 번호", "전화번호", "연락처", "namba ya simu",
	} {
		t.Run(header, func(t *testing.T) {
			t.Parallel()
			list, err := numbers.Read(strings.NewReader("ID;"+header+";Name\n4912345678;"+alice+";A\n"), numbers.Options{})
			if err != nil || list.Column.Number != 2 || len(list.Rejected) > 0 || len(list.Users) != 1 || list.Users[0].Reveal() != alice {
				t.Errorf("%+v, %v", list, err)
			}
		})
	}
	for _, header := range []string{
		"username", "user id", "customer number", "order_number", "phone type", "Phone 1 - Type", "Phone 1 - Label", "number of calls", "contact name", "CEP", "E", "No", "fax", "mobile os", "country code", "account number", "Nome", "телефонист",
	} {
		t.Run("not "+header, func(t *testing.T) {
			t.Parallel()
			_, err := numbers.Read(strings.NewReader("ID,"+header+"\n4912345678,"+alice+"\n"), numbers.Options{})
			if !errors.Is(err, numbers.ErrColumn) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestColumns(t *testing.T) {
	t.Parallel()
	const several = "numbers in several columns, and no header says which of them counts: choose one with --column"
	for name, c := range map[string]struct {
		text     string
		options  numbers.Options
		users    []string
		rejected rejections
		column   numbers.Column
	}{
		"the more telling wins": {
			text: "number,phone,whatsapp,mobile\n4912345678,4912345679," + alice + ",4912345670\n", users: []string{alice},
			column: numbers.Column{Number: 3, Name: "whatsapp", Why: "its header is the most telling of 4", Columns: 4},
		},
		"of equals the first": {
			text: "Phone 1 - Value,Phone 2 - Value\n" + alice + "," + bob + "\n", users: []string{alice},
			column: numbers.Column{Number: 1, Name: "Phone 1 - Value", Why: "its header is the most telling of 2", Columns: 2},
		},
		"chosen by header": {
			text: "id;phone;second phone\n1;" + alice + ";" + bob + "\n", options: numbers.Options{Column: "Second_Phone"}, users: []string{bob},
			column: numbers.Column{Number: 3, Name: "second phone", Why: "it was chosen by its header", Columns: 3},
		},
		"chosen by place": {
			text: alice + "," + bob + "\n", options: numbers.Options{Column: "2"}, users: []string{bob},
			column: numbers.Column{Number: 2, Why: "it was chosen by its place", Columns: 2},
		},
		"chosen by place, below a header": {
			text: "a,b\n" + alice + "," + bob + "\n", options: numbers.Options{Column: "2"}, users: []string{bob},
			column: numbers.Column{Number: 2, Name: "b", Why: "it was chosen by its place", Columns: 2},
		},
		"two numbers below one header": {
			text: "phone\n" + alice + ", " + bob + "\n" + alice + ",Alice\n", users: []string{alice},
			rejected: rejections{{alice + ", " + bob, 2, "more than one number: give each a line of its own"}},
			column:   numbers.Column{Number: 1, Name: "phone", Why: "its header names it", Columns: 1},
		},
		"a number in a column with another header": {
			text: "phone,other phone\n" + alice + "," + bob + "\n", users: []string{alice},
			column: numbers.Column{Number: 1, Name: "phone", Why: "its header names it", Columns: 2},
		},
		"a title, then a header": {
			text: "Spammers\nname;phone\nA;" + alice + "\n", users: []string{alice},
			column: numbers.Column{Number: 2, Name: "phone", Why: "its header names it", Columns: 2},
		},
		"any header of a single column": {
			text: "Spammers\n" + alice + "\nmore\n", users: []string{alice}, rejected: rejections{{"more", 3, "holds a character that no phone number has"}},
			column: numbers.Column{Number: 1, Name: "Spammers", Why: "it is the only one", Columns: 1},
		},
		"a header of #": {
			text: "# exported today\n#;Name;Phone\n4912345678;A;" + alice + "\n#;B;" + bob + "\n", users: []string{alice},
			column: numbers.Column{Number: 3, Name: "Phone", Why: "its header names it", Columns: 3},
		},
		"a header with # in front": {
			text: "#phone,name\n" + alice + ",A\n", users: []string{alice},
			column: numbers.Column{Number: 1, Name: "#phone", Why: "its header names it", Columns: 2},
		},
		"a comment with commas": {
			text: "# exported for Bob, phone numbers, and others\n#old, new\n" + alice + "\n", users: []string{alice},
			column: numbers.Column{Number: 1, Why: "it is the only one", Columns: 1},
		},
		"several numbers in a row, no header": {
			text: alice + ", " + bob + "\n" + bob + ",B\n" + alice + "," + alice[1:] + "\n", users: []string{bob, alice}, rejected: rejections{{alice + ", " + bob, 1, several}},
			column: numbers.Column{Number: 1, Why: "it is the first, and no header names one", Columns: 2},
		},
		"the number in another column, no header": {
			text: "A," + alice + "\n" + bob + ",B\n", users: []string{bob},
			rejected: rejections{{"A", 1, "holds a character that no phone number has; column 2 holds a number: choose it with --column"}},
			column:   numbers.Column{Number: 1, Why: "it is the first, and no header names one", Columns: 2},
		},
		"rounded, with a comma": {
			text: alice + "\n1,65056E+10\n", users: []string{alice},
			rejected: rejections{{"1,65056E+10", 2, "rounded by a spreadsheet: format the column as text and export it again"}},
			column:   numbers.Column{Number: 1, Why: "it is the only one", Columns: 1},
		},
		"a decimal comma": {
			text: "919876543210,0\n", users: []string{"+919876543210"},
			column: numbers.Column{Number: 1, Why: "it is the first, and no header names one", Columns: 2},
		},
		"a country": {
			text: "phone\n646 555 1234\n" + bob + "\n", options: numbers.Options{Country: country(t, "US")}, users: []string{erin, bob},
			column: numbers.Column{Number: 1, Name: "phone", Why: "its header names it", Columns: 1},
		},
		"a column of countries": {
			text:     "Country Code,Phone Number\n+1,6465551234\nIN,98765 43210\n,6465551234\nMars,6465551234\nMars," + bob + "\n",
			users:    []string{erin, "+919876543210", dave, bob},
			rejected: rejections{{"6465551234", 5, "its country, in column 1, is not a code such as US or +1: write one, or the number with + and the code"}},
			column:   numbers.Column{Number: 2, Name: "Phone Number", Why: "its header names it", Country: "Country Code", Columns: 2},
		},
		"WhatsApp IDs have no country": {
			text: "country,wa_id\nUS,6465551234\n", options: numbers.Options{Country: country(t, "US")}, users: []string{dave},
			column: numbers.Column{Number: 2, Name: "wa_id", Why: "its header names it", Columns: 2},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			list, err := numbers.Read(strings.NewReader(c.text), c.options)
			if err != nil {
				t.Fatal(err)
			}
			for what, diff := range map[string]string{
				"users": cmp.Diff(c.users, reveal(list.Users)), "rejected": cmp.Diff(c.rejected, list.Rejected), "column": cmp.Diff(c.column, list.Column),
			} {
				if diff != "" {
					t.Errorf("%s: %s", what, diff)
				}
			}
			if s := list.Column.String(); !strings.Contains(s, c.column.Why) || !strings.Contains(s, c.column.Name) {
				t.Errorf("said as %q", s)
			}
		})
	}
}

func TestColumnIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text, column string
		want         []string
	}{
		"none is known":        {"id,name,since\n1," + alice + ",2\n", "", []string{`1 "id", 2 "name", 3 "since"`, "--column"}},
		"a broken first row":   {"(646) 555-1234,Bob\n" + alice + ",Al\n", "", []string{`2 "Bob"`}},
		"no such column":       {"id,name\n1," + alice + "\n", "phone", []string{`None is named "phone"`, `2 "name"`}},
		"no such, no header":   {alice + "," + bob + "\n", "phone", []string{`None is named "phone"`}},
		"very many":            {strings.Repeat("x,", 5000) + "x\n", "", []string{"and 4981 more"}},
		"none, below comments": {"# mine\n\nid;name\n1;" + alice + "\n", "", []string{`2 "name"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			list, err := numbers.Read(strings.NewReader(c.text), numbers.Options{Column: c.column})
			if !errors.Is(err, numbers.ErrColumn) || len(list.Users) > 0 {
				t.Fatalf("%+v, %v", list, err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("nothing of %q in %q", want, err)
				}
			}
			if len(err.Error()) > 1500 || user.Scrub(err.Error()) != err.Error() {
				t.Errorf("the error holds too much: %v", err)
			}
		})
	}
}
