package main

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/vigate/vigate/internal/openapi"
	"github.com/vigate/vigate/internal/serve"
	"github.com/vigate/vigate/internal/vim"
)

func openapiCommand() *cobra.Command {
	var release string
	cmd := &cobra.Command{
		Use:     "openapi",
		Short:   "Print the server's OpenAPI document",
		Example: "  vigate openapi --release 8.0.2.0 > openapi.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := vim.ParseRelease(release); err != nil {
				return err
			}
			objects, err := serve.Objects()
			if err != nil {
				return err
			}
			d, err := openapi.New(objects)
			if err != nil {
				return err
			}
			head, rest := d.JSON(release)
			_, err = cmd.OutOrStdout().Write(slices.Concat(head, rest, []byte{'\n'}))
			return err
		},
	}
	cmd.Flags().StringVar(&release, "release", serve.Release, "release of the API to describe")
	return cmd
}
