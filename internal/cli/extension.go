package cli

import (
	"cmp"
	"context"
	"slices"

	"github.com/spf13/cobra"
	"github.com/vmware/govmomi/vim25/types"
)

func (a *app) extension() *cobra.Command {
	return group("extension", "Manage extensions, which log in by certificate",
		a.extensionList(), a.extensionInfo(), a.extensionRegister(), a.extensionCertificate(), a.extensionUnregister())
}

func (a *app) extensionList() *cobra.Command {
	cmd := a.command("ls [flags]", "List extensions", cobra.NoArgs, func(ctx context.Context, j *job) error {
		list, err := j.extensionList(ctx)
		if err != nil {
			return err
		}
		return j.out.show(list, func() *table {
			t := &table{header: []string{"KEY", "VERSION", "COMPANY", "SUBJECT NAME", "LABEL"}}
			for _, e := range list {
				t.add(e.Key, e.Version, e.Company, e.SubjectName, label(e.Description))
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
		keys = append(keys, e.Key+"\t"+clean(label(e.Description)))
	}
	return keys, err
}

func (a *app) extensionInfo() *cobra.Command {
	cmd := a.command("info KEY", "Show an extension", cobra.ExactArgs(1), func(ctx context.Context, j *job) error {
		ref, err := j.extensions(ctx)
		if err != nil {
			return err
		}
		e, err := invoke[*types.Extension](ctx, j, ref, "FindExtension", &types.FindExtension{ExtensionKey: j.args[0]})
		if err != nil {
			return err
		}
		if e == nil {
			return notFound("there is no extension %q: 'vigate extension ls' shows what there is", j.args[0])
		}
		return j.out.show(e, func() *table {
			t := &table{}
			t.add("Key:", e.Key)
			t.add("Label:", label(e.Description))
			if e.Description != nil {
				t.add("Summary:", e.Description.GetDescription().Summary)
			}
			t.add("Version:", e.Version)
			t.add("Company:", e.Company)
			t.add("Type:", e.Type)
			t.add("Subject name:", e.SubjectName)
			t.add("Last heartbeat:", moment(e.LastHeartbeatTime))
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
	cmd := a.command("register KEY", "Register an extension", cobra.ExactArgs(1), func(ctx context.Context, j *job) error {
		ref, err := j.extensions(ctx)
		if err != nil {
			return err
		}
		var pem string
		if certificate != "" { // read first: a missing file shall leave nothing half done
			if pem, err = j.read("certificate", certificate); err != nil {
				return err
			}
		}
		e.Key, e.LastHeartbeatTime = j.args[0], j.app.host.Now().UTC()
		d.Label, d.Summary = first(d.Label, e.Key), first(d.Summary, d.Label, e.Key)
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
	f.StringVar(&e.Company, "company", "", "who makes it")
	f.StringVar(&e.Type, "type", "", "what kind of extension it is")
	f.StringVar(&e.SubjectName, "subject-name", "", "subject of the certificates that it logs in by, such as CN=backup,O=Example")
	f.StringVar(&d.Label, "label", "", "name for people (default: the key)")
	f.StringVar(&d.Summary, "summary", "", "what it does (default: the label)")
	f.StringVar(&certificate, "certificate", "", "PEM file with the certificate that it logs in by, - for standard input")
	return cmd
}

func (j *job) setCertificate(ctx context.Context, ref types.ManagedObjectReference, key, pem string) error {
	return j.Invoke(ctx, ref, "SetExtensionCertificate", &types.SetExtensionCertificate{ExtensionKey: key, CertificatePem: pem}, nil)
}

func (a *app) extensionCertificate() *cobra.Command {
	cmd := a.command("setcert KEY [FILE]", "Set the certificate that an extension logs in by", cobra.RangeArgs(1, 2), func(ctx context.Context, j *job) error {
		ref, err := j.extensions(ctx)
		if err != nil {
			return err
		}
		var pem string
		switch {
		case len(j.args) == 2:
			if pem, err = j.read("certificate", j.args[1]); err != nil {
				return err
			}
		case j.tls.Certificate == nil:
			return usage("give a FILE with the certificate, - for standard input, or log in with the certificate by --cert and --key")
		}
		return j.setCertificate(ctx, ref, j.args[0], pem)
	})
	cmd.Long = cmd.Short + `.

Without FILE it is the certificate of --cert, which the connection shows.`
	keys := a.complete(false, extensionKeys)
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) == 1 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return keys(cmd, args, toComplete)
	}
	return cmd
}

func (a *app) extensionUnregister() *cobra.Command {
	cmd := a.command("unregister KEY…", "Remove extensions; their sessions end", cobra.MinimumNArgs(1), func(ctx context.Context, j *job) error {
		ref, err := j.extensions(ctx)
		if err != nil {
			return err
		}
		return j.each(func(key string) error {
			return j.Invoke(ctx, ref, "UnregisterExtension", &types.UnregisterExtension{ExtensionKey: key}, nil)
		})
	})
	cmd.Aliases = []string{"rm"}
	cmd.ValidArgsFunction = a.complete(true, extensionKeys)
	return cmd
}
