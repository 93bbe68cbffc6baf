package cli

import (
	"cmp"
	"context"
	"slices"

	"github.com/spf13/cobra"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/cli/command"
)

func (a *app) extension() *cobra.Command {
	return command.Group("extension", "Manage extensions, which log in with a certificate",
		a.extensionList(), a.extensionInfo(), a.extensionRegister(), a.extensionCertificate(), a.extensionUnregister())
}

func (a *app) extensionList() *cobra.Command {
	cmd := a.command("ls [flags]", "List extensions", cobra.NoArgs, func(ctx context.Context, j *job) error {
		list, err := j.extensionList(ctx)
		if err != nil {
			return err
		}
		return j.Out.Show(list, func() *command.Table {
			t := &command.Table{Header: []string{"KEY", "VERSION", "COMPANY", "SUBJECT NAME", "LABEL"}}
			for _, e := range list {
				t.Add(e.Key, e.Version, e.Company, e.SubjectName, label(e.Description))
			}
			return t
		})
	})
	cmd.Aliases = []string{"list"}
	return cmd
}

func label(d types.BaseDescription) string {
	if d == nil {
		return ""
	}
	return d.GetDescription().Label
}

func (j *job) extensionList(ctx context.Context) ([]types.Extension, error) {
	ref, err := j.extensions(ctx)
	if err != nil {
		return nil, err
	}
	list, err := property[[]types.Extension](ctx, j, ref, "extensionList")
	slices.SortStableFunc(list, func(a, b types.Extension) int { return cmp.Compare(a.Key, b.Key) })
	return list, err
}

func extensionKeys(ctx context.Context, j *job) ([]string, error) {
	list, err := j.extensionList(ctx)
	var keys []string
	for _, e := range list {
		keys = append(keys, e.Key+"\t"+command.Clean(label(e.Description)))
	}
	return keys, err
}

func (a *app) extensionInfo() *cobra.Command {
	cmd := a.command("info KEY", "Show an extension", cobra.ExactArgs(1), func(ctx context.Context, j *job) error {
		ref, err := j.extensions(ctx)
		if err != nil {
			return err
		}
		e, err := invoke[*types.Extension](ctx, j, ref, "FindExtension", &types.FindExtension{ExtensionKey: j.Args[0]})
		if err != nil {
			return err
		}
		if e == nil {
			return command.NotFound("there is no extension %q; 'vigate extension ls' lists the extensions", j.Args[0])
		}
		return j.Out.Show(e, func() *command.Table {
			t := &command.Table{}
			t.Add("Key:", e.Key)
			t.Add("Label:", label(e.Description))
			if e.Description != nil {
				t.Add("Summary:", e.Description.GetDescription().Summary)
			}
			t.Add("Version:", e.Version)
			t.Add("Company:", e.Company)
			t.Add("Type:", e.Type)
			t.Add("Subject name:", e.SubjectName)
			t.Add("Last heartbeat:", command.Moment(e.LastHeartbeatTime))
			return t
		})
	})
	cmd.ValidArgsFunction = a.complete(false, extensionKeys)
	return cmd
}

func (a *app) extensionRegister() *cobra.Command {
	var e types.Extension
	var d types.Description
	var certificate string
	cmd := a.command("register KEY", "Register an extension", cobra.ExactArgs(1),
		func(ctx context.Context, j *job) error {
			ref, err := j.extensions(ctx)
			if err != nil {
				return err
			}
			var pem string
			// The certificate is read first, so that a missing file does not leave an extension without
			// one.
			if certificate != "" {
				if pem, err = j.Read("certificate", certificate); err != nil {
					return err
				}
			}
			e.Key, e.LastHeartbeatTime = j.Args[0], j.Now().UTC()
			d.Label, d.Summary = cmp.Or(d.Label, e.Key), cmp.Or(d.Summary, d.Label, e.Key)
			e.Description = &d
			if err := j.Invoke(ctx, ref, "RegisterExtension", &types.RegisterExtension{Extension: e}, nil); err != nil {
				return err
			}
			if pem == "" {
				return nil
			}
			return j.setCertificate(ctx, ref, e.Key, pem)
		})
	f := cmd.Flags()
	f.StringVar(&e.Version, "version", "1.0.0", "version of the extension")
	f.StringVar(&e.Company, "company", "", "company that makes the extension")
	f.StringVar(&e.Type, "type", "", "type of the extension")
	f.StringVar(&e.SubjectName, "subject-name", "", "subject name of the certificates that it logs in with, such as "+
		"CN=backup,O=Example")
	f.StringVar(&d.Label, "label", "", "display name (default: the key)")
	f.StringVar(&d.Summary, "summary", "", "description (default: the label)")
	f.StringVar(&certificate, "certificate", "", "PEM file of the certificate that it logs in with, - for standard "+
		"input")
	return cmd
}

func (j *job) setCertificate(ctx context.Context, ref types.ManagedObjectReference, key, pem string) error {
	return j.Invoke(ctx, ref, "SetExtensionCertificate",
		&types.SetExtensionCertificate{ExtensionKey: key, CertificatePem: pem}, nil)
}

func (a *app) extensionCertificate() *cobra.Command {
	cmd := a.command("setcert KEY [FILE]", "Set the certificate that an extension logs in with", cobra.RangeArgs(1, 2),
		func(ctx context.Context, j *job) error {
			ref, err := j.extensions(ctx)
			if err != nil {
				return err
			}
			var pem string
			switch {
			case len(j.Args) == 2:
				if pem, err = j.Read("certificate", j.Args[1]); err != nil {
					return err
				}
			case j.Certificate() == nil:
				return command.Usage("give a FILE with the certificate, - for standard input, or use --cert and --key")
			}
			return j.setCertificate(ctx, ref, j.Args[0], pem)
		})
	cmd.Long = cmd.Short + `.

Without FILE, the certificate of --cert is used, which the connection presents.`
	keys := a.complete(false, extensionKeys)
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, toComplete string) ([]cobra.Completion,
		cobra.ShellCompDirective) {
		if len(args) == 1 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return keys(cmd, args, toComplete)
	}
	return cmd
}

func (a *app) extensionUnregister() *cobra.Command {
	cmd := a.command("unregister KEY…", "Remove extensions and end their sessions", cobra.MinimumNArgs(1),
		func(ctx context.Context, j *job) error {
			ref, err := j.extensions(ctx)
			if err != nil {
				return err
			}
			return j.Each(func(key string) error {
				return j.Invoke(ctx, ref, "UnregisterExtension", &types.UnregisterExtension{ExtensionKey: key}, nil)
			})
		})
	cmd.Aliases = []string{"rm"}
	cmd.ValidArgsFunction = a.complete(true, extensionKeys)
	return cmd
}
