package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/conch-lock/conch/sdk"
)

func (a *App) tokenCommand() *cobra.Command {
	check := &cobra.Command{
		Use: "check NAME TOKEN", Short: "Exit 0 while TOKEN is a current grant of NAME, 1 when it is not",
		Long: `Check asks the cell whether TOKEN is a current grant of the lock NAME.

It is for scripts that act on resources which cannot check tokens themselves, right
before they act. It narrows the gap but does not close it: the lock may be lost
between the answer and the act. A resource that remembers the largest token it has
seen and refuses smaller ones closes it.`,
		Example: `  conch token check backup "$CONCH_TOKEN" && mv out.tmp out`,
		Args:    exactly("NAME", "TOKEN"),
		RunE: a.action(func(ctx context.Context, _ *cobra.Command, args []string) error {
			if err := checkName("NAME", args[0]); err != nil {
				return err
			}
			token, err := parseNumber("TOKEN", args[1])
			if err != nil {
				return err
			}
			return a.ask(ctx, func(ctx context.Context, c cell) error {
				answer, err := c.CheckToken(ctx, args[0], sdk.Token(token))
				if err != nil {
					return err
				}
				if err := a.results().Token(args[0], sdk.Token(token), answer); err != nil {
					return err
				}
				if !answer.Current {
					return exitWith(exitFailed, nil)
				}
				return nil
			})
		}),
	}
	return group("token", "Check fencing tokens", `  conch token check backup "$CONCH_TOKEN"`, check)
}
