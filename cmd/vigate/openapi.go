package main

import (
	"github.com/spf13/cobra"

	"github.com/vigate/vigate/internal/admin"
	"github.com/vigate/vigate/internal/cluster"
	"github.com/vigate/vigate/internal/openapi"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/vim"
)

func openapiCommand() *cobra.Command {
	var release string
	cmd := &cobra.Command{
		Use:   "openapi",
		Short: "Print the OpenAPI document of all that the server serves",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := vim.ParseRelease(release); err != nil {
				return err
			}
			// The rows are the same whatever they work on: here, on nothing.
			api, err := vim.New(vim.Domain{Sessions: session.NewManager(session.Options{Table: session.NewTable(nil)})})
			if err != nil {
				return err
			}
			nodes, err := cluster.New(cluster.Options{})
			if err != nil {
				return err
			}
			if err := serveObjects(api, admin.Domain{}, nodes); err != nil {
				return err
			}
			d, err := openapi.New(api.Objects())
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(append(d.JSON(release), '\n'))
			return err
		},
	}
	cmd.Flags().StringVar(&release, "release", apiRelease, "release of the API that the document is for")
	return cmd
}
