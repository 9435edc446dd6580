package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestWhichColumn: which column was read, and why, stands on stderr and in the JSON.
func TestWhichColumn(t *testing.T) {
	t.Parallel()
	f := setup(t)
	file := f.write("name,mobile,fax\nBob," + number(1) + "," + number(2) + "\n")
	o := f.wablock("block", "--json", "--file", file).exits(exitDone).says(`column 2, "mobile"`).object()
	column, _ := o["column"].(map[string]any)
	if d := cmp.Diff(map[string]any{"number": 2.0, "name": "mobile", "columns": 3.0}, only(column, "number", "name", "columns")); d != "" || column["why"] == "" {
		t.Errorf("%s in %v", d, o)
	}
	o = f.wablock("block", "--json", "--file", file, "--column", "fax").exits(exitDone).says(`column 3, "fax"`).object()
	if f.wablock("status", "--json", number(2)).object()["state"] != "pending" {
		t.Errorf("--column was not read: %v", o)
	}
	f.wablock("status", "--file", file, "--column", "3").exits(exitDone).says("column 3")
	f.wablock("block", "--file", file, "--column", "phone").exits(exitUsage).says("mobile")
	f.wablock("block", number(1), "--column", "phone").exits(exitUsage).says("--column goes with --file")
	unknown := f.write("customer,since\n4912345678,2024\n")
	f.wablock("block", "--file", unknown).exits(exitUsage).says("--column", "customer")
	if r := f.wablock("block", "--file", f.write(number(3)+"\n")).exits(exitDone); strings.Contains(r.err, "column") {
		t.Errorf("of a plain list: %s", r.err)
	}
}

func TestCountry(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.wablock("block", "(650) 200-0001").exits(exitUsage)
	f.wablock("block", "(650) 200-0001", "--country", "US").exits(exitDone)
	f.wablock("block", "--file", f.write("(650) 200-0002\n"), "--country", "+1").exits(exitDone)
	for _, n := range []string{number(1), number(2)} {
		if o := f.wablock("status", "--json", n).object(); o["state"] != "pending" {
			t.Errorf("%v", o)
		}
	}
	f.wablock("dead-letter", "list", "(650) 200-0001").exits(exitUsage)
	for _, verb := range []string{"list", "redrive", "discard"} {
		f.wablock("dead-letter", verb, "(650) 200-0001", "--country", "US").exits(exitDone)
	}
	f.wablock("block", number(1), "--country", "Utopia").exits(exitUsage).says("--country", "ISO")
}

func TestDefaultCountry(t *testing.T) {
	t.Parallel()
	f := setup(t).with("WABLOCK_DEFAULT_COUNTRY", "US")
	f.wablock("block", "(650) 200-0001").exits(exitDone)
	f.wablock("block", "(650) 200-0002", "--country", "FR").exits(exitUsage)
	if o := f.wablock("status", "--json", "650-200-0001").exits(exitDone).object(); o["user"] != number(1) || o["state"] != "pending" {
		t.Errorf("%v", o)
	}
	f.wablock("dead-letter", "list", "(650) 200-0001").exits(exitDone)
	f.with("WABLOCK_DEFAULT_COUNTRY", "Utopia").wablock("status", number(1)).exits(exitUsage).says("WABLOCK_DEFAULT_COUNTRY", "such as US")
}
