package main

import (
	"strconv"

	"github.com/spf13/cobra"
)

// deadLetterList is the command `dead-letter list`.
type deadLetterList struct {
	*cli
	choice
}

func deadLetterListCommand(parent *cli) *cobra.Command {
	c := &deadLetterList{cli: parent}
	cmd := &cobra.Command{
		Use:   "list [NUMBER...]",
		Short: "Show the entries, with what the API said",
		RunE:  c.run,
	}
	c.flags(cmd.Flags(), "all entries, which is the default")
	return cmd
}

func (c *deadLetterList) run(cmd *cobra.Command, args []string) error {
	d, err := openDeadLetters(c.cli, cmd, args, c.choice)
	if err != nil {
		return err
	}
	defer d.close()
	out := newAnswer(c.cli, deadLetterColumns()...)
	for _, f := range d.filters {
		for e, err := range d.queue.All(cmd.Context(), f) {
			if err != nil {
				return err
			}
			j := deadLetterAnswer(e)
			if err := out.add(j, j.row); err != nil {
				return err
			}
		}
	}
	if out.rows == 0 && !c.json {
		c.say("no entries")
	}
	return out.flush()
}

func deadLetterColumns() []string {
	return []string{"user", "phone number id", "operation", "code", "message", "attempts", "last failed"}
}

func (j deadLetterJSON) row() []string {
	if m := j.malformedJSON; m != nil {
		return []string{"(malformed task)", "", m.TaskType, "", m.Reason, "", stamp(j.LastFailedAt)}
	}
	message := j.Message
	if j.Details != "" && j.Details != j.Message {
		message += ": " + j.Details
	}
	return []string{
		j.User, j.PhoneNumberID, string(j.Operation), codeText(j.Code), message, strconv.Itoa(j.Attempts), stamp(j.LastFailedAt),
	}
}
