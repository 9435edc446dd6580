package numbers_test

import (
	"errors"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/wablock/wablock/tasks/numbers"
	"github.com/wablock/wablock/tasks/user"
)

// tables returns the tables of docs/numbers.md: of each its rows below the header, of each row
// its three cells, code spans unwrapped.
func tables(t *testing.T) (tables [][][3]string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/numbers.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("^\\| (`[^`]+`) \\| (.+?) \\| (.+) \\|$")
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "|---") {
			tables = append(tables, nil)
		}
		if m := row.FindStringSubmatch(line); m != nil {
			last := len(tables) - 1
			tables[last] = append(tables[last], [3]string{strings.Trim(m[1], "`"), strings.Trim(m[2], "`"), m[3]})
		}
	}
	return tables
}

func TestDocumentedNumbers(t *testing.T) {
	t.Parallel()
	us, err := user.ParseCountry("US")
	if err != nil {
		t.Fatal(err)
	}
	tables := tables(t)
	if len(tables) != 3 || len(tables[0]) < 30 || len(tables[1]) < 5 || len(tables[2]) < 9 {
		t.Fatalf("not the tables that are meant: %q", tables)
	}
	for i, country := range []user.Country{{}, us} {
		for _, row := range tables[i] {
			t.Run(country.String()+" "+row[0], func(t *testing.T) {
				t.Parallel()
				list := numbers.Parse([]string{row[0]}, country)
				switch {
				case row[1] == "rejected" && len(list.Rejected) == 1 && list.Rejected[0].Reason == row[2]:
				case row[1] != "rejected" && len(list.Users) == 1 && list.Users[0].Reveal() == row[1]:
				default:
					t.Errorf("read as %q, rejected %+v; documented is %q", reveal(list.Users), list.Rejected, row[1:])
				}
			})
		}
	}
}

func TestDocumentedFiles(t *testing.T) {
	t.Parallel()
	for _, row := range tables(t)[2] {
		t.Run(row[0], func(t *testing.T) {
			t.Parallel()
			comma := ","
			if strings.Contains(row[0], ";") {
				comma = ";"
			}
			cells := strings.Split(row[0], comma)
			column, err := strconv.Atoi(row[1])
			if err == nil {
				for i := range cells {
					cells[i] = "4912345678" // a number of its own, which may not be read
				}
				cells[column-1] = bob
			}
			below := strings.Join(cells, comma)
			if strings.Contains(row[0], alice) {
				below = bob
			}
			list, err := numbers.Read(strings.NewReader(row[0]+"\n"+below+"\n"), numbers.Options{})
			if row[1] == "refused" {
				if !errors.Is(err, numbers.ErrColumn) || !strings.Contains(err.Error(), row[2]) || !strings.Contains(err.Error(), `2 "name"`) {
					t.Errorf("%v; documented is %q", err, row[2])
				}
				return
			}
			if err != nil || list.Column.Number != column || list.Column.Why != row[2] || list.Users[len(list.Users)-1].Reveal() != bob || len(list.Rejected) > 0 {
				t.Errorf("%+v, %v; documented is %q", list, err, row[1:])
			}
		})
	}
}
