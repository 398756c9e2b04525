package cli

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *App) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show the nodes, the leader and the size of the cell",
		Example: "  conch status\n  conch status -o json | jq -r .leader",
		Args:    exactly(),
		RunE: a.action(func(ctx context.Context, _ *cobra.Command, _ []string) error {
			return a.ask(ctx, func(ctx context.Context, c cell) error {
				s, err := c.Status(ctx)
				if err != nil {
					return err
				}
				return a.results().Status(s)
			})
		}),
	}
}

func (a *App) hashCommand() *cobra.Command {
	return &cobra.Command{
		Use: "hash", Short: "Compare the state of all nodes at one index",
		Long:    "Hash has every node hash its state at one index of the log. Exit status 1 when they differ or one did not answer.",
		Example: "  conch hash",
		Args:    exactly(),
		RunE: a.action(func(ctx context.Context, _ *cobra.Command, _ []string) error {
			return a.ask(ctx, func(ctx context.Context, c cell) error {
				h, err := c.Hash(ctx)
				if err != nil {
					return err
				}
				if err := a.results().Hashes(h); err != nil {
					return err
				}
				if !h.Equal {
					return exitWith(exitFailed, nil)
				}
				return nil
			})
		}),
	}
}

func (a *App) leaderCommand() *cobra.Command {
	transfer := &cobra.Command{
		Use: "transfer NODE", Short: "Hand leadership to a node",
		Example: "  conch leader transfer n2",
		Args:    exactly("NODE"),
		RunE: a.action(func(ctx context.Context, _ *cobra.Command, args []string) error {
			if args[0] == "" {
				return usage(`NODE "": the name of a node is needed, conch status lists them`)
			}
			return a.ask(ctx, func(ctx context.Context, c cell) error {
				leader, err := c.TransferLeader(ctx, args[0])
				if err != nil {
					return err
				}
				return a.results().Done("led by "+leader, map[string]any{"leader": leader})
			})
		}),
	}
	return group("leader", "Move leadership", "  conch leader transfer n2", transfer)
}
