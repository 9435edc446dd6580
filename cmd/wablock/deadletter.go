package main

import "github.com/spf13/cobra"

func deadLetterCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "dead-letter",
		Aliases: []string{"dead-letters"},
		Short:   "List, redrive or discard what failed for good",
		Long: `The dead-letter queue holds what failed for good: numbers, with the code and message of
the API, and tasks that could not be read. Entries stay until they are redriven or discarded,
or a later request for the number succeeds.

Without --phone-number-id, WABLOCK_PHONE_NUMBER_ID and the like, the entries of all phone
number IDs are meant.`,
		Args: noArgs,
		RunE: c.parent,
	}
	cmd.AddCommand(deadLetterListCommand(c), redriveCommand(c), discardCommand(c))
	return cmd
}
