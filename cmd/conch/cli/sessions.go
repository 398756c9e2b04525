package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/conch-lock/conch/sdk"
)

func (a *App) sessionsCommand() *cobra.Command {
	ls := &cobra.Command{
		Use: "ls", Short: "List sessions", Example: "  conch sessions ls",
		Args: exactly(),
		RunE: a.action(func(ctx context.Context, _ *cobra.Command, _ []string) error {
			return a.ask(ctx, func(ctx context.Context, c cell) error {
				all, err := c.Sessions(ctx)
				if err != nil {
					return err
				}
				return a.results().Sessions(all)
			})
		}),
	}
	show := &cobra.Command{
		Use: "show ID", Short: "Show a session and what belongs to it", Example: "  conch sessions show 17",
		Args: exactly("ID"),
		RunE: a.action(func(ctx context.Context, _ *cobra.Command, args []string) error {
			id, err := parseNumber("ID", args[0])
			if err != nil {
				return err
			}
			return a.ask(ctx, func(ctx context.Context, c cell) error {
				s, err := c.ShowSession(ctx, sdk.SessionID(id))
				if err != nil {
					return err
				}
				return a.results().Session(s)
			})
		}),
	}
	reason := ""
	end := &cobra.Command{
		Use: "end ID --reason TEXT", Short: "End somebody's session",
		Long: `End ends a session: its locks are released, its claims withdrawn and its keys deleted,
in one revision. Its client is told, with the reason.`,
		Example: `  conch sessions end 17 --reason "host a is gone"`,
		Args:    exactly("ID"),
		RunE: a.action(func(ctx context.Context, _ *cobra.Command, args []string) error {
			id, err := parseNumber("ID", args[0])
			if err != nil {
				return err
			}
			if err := checkReason(reason); err != nil {
				return err
			}
			return a.ask(ctx, func(ctx context.Context, c cell) error {
				if err := c.EndSession(ctx, sdk.SessionID(id), reason); err != nil {
					return err
				}
				return a.results().Done("ended session "+args[0], map[string]any{"id": id})
			})
		}),
	}
	end.Flags().StringVar(&reason, "reason", "", "why, as `TEXT` of at most 256 bytes")
	return group("sessions", "See and end sessions", "  conch sessions ls\n  conch sessions show 17", ls, show, end)
}
