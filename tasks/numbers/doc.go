// Package numbers reads files of phone numbers, as people export and type them: plain lines,
// or CSV with commas, semicolons or tabs, with or without a header row.
//
//	list, err := numbers.Read(file, numbers.Options{Column: "mobile", Country: us})
//	fmt.Println(list.Column) // numbers are read from column 2, "mobile": it was chosen by its header
//
// An input that is not a number is rejected by line and reason, and the rest goes on; only a file
// that can't be meant (binary, empty, without a single number, or with several columns of which
// none is named as one of numbers) is an error as a whole. It never guesses which person an input
// means: docs/numbers.md has the table.
//
// Files: header.go knows the names of columns, records.go and lines.go take CSV apart line by
// line, text.go decodes, read.go puts them together.
package numbers
