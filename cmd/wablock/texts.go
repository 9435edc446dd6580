package main

import (
	"github.com/spf13/pflag"

	"github.com/wablock/wablock/tasks/ledger"
)

// textFlags are the flags of commands that ask for something: who, and why.
type textFlags struct {
	requester
	reason, reference string
}

func (t *textFlags) addText(f *pflag.FlagSet) {
	t.addBy(f)
	f.StringVar(&t.reason, "reason", "", "`text` that says why, up to 500 characters; no phone numbers")
	f.StringVar(&t.reference, "reference", "", "a ticket or case that it belongs to, up to 200 characters")
}

// checkText refuses wrong texts, and names who asks where no flag does.
func (t *textFlags) checkText(c *cli) error {
	if t.by == "" {
		if name := t.name(c); (ledger.Text{By: name}).Check() == nil { // else nothing that could be shown
			t.by = name
		}
	}
	if err := (ledger.Text{By: t.by, Reason: t.reason, Reference: t.reference}).Check(); err != nil {
		return usagef("--by, --reason, --reference: %v", err)
	}
	return nil
}
