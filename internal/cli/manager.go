package cli

import (
	"context"
	"fmt"

	"github.com/vmware/govmomi/vim25/types"
)

// invoke calls a method and returns its result. If the response has no value, it returns the zero
// value.
func invoke[T any](ctx context.Context, j *job, ref types.ManagedObjectReference, method string, req any) (T, error) {
	var res T
	err := j.Invoke(ctx, ref, method, req, &res)
	return res, err
}

// property reads a property. If the property is unset, it returns the zero value.
func property[T any](ctx context.Context, j *job, ref types.ManagedObjectReference, name string) (T, error) {
	var res T
	err := j.Property(ctx, ref, name, &res)
	return res, err
}

// manager returns one of the server's managers. what is its name for the error if the server does
// not have it.
func (j *job) manager(
	ctx context.Context, what string, of func(types.ServiceContent) *types.ManagedObjectReference,
) (types.ManagedObjectReference, error) {
	content, err := j.ServiceContent(ctx)
	if err != nil {
		return types.ManagedObjectReference{}, err
	}
	ref := of(content)
	if ref == nil {
		return types.ManagedObjectReference{}, fmt.Errorf("%s has no %s", j.URL(), what)
	}
	return *ref, nil
}

func (j *job) authorization(ctx context.Context) (types.ManagedObjectReference, error) {
	return j.manager(ctx, "authorization manager", func(c types.ServiceContent) *types.ManagedObjectReference {
		return c.AuthorizationManager
	})
}

func (j *job) accounts(ctx context.Context) (types.ManagedObjectReference, error) {
	return j.manager(ctx, "account manager", func(c types.ServiceContent) *types.ManagedObjectReference {
		return c.AccountManager
	})
}

func (j *job) directory(ctx context.Context) (types.ManagedObjectReference, error) {
	return j.manager(ctx, "user directory", func(c types.ServiceContent) *types.ManagedObjectReference {
		return c.UserDirectory
	})
}

func (j *job) extensions(ctx context.Context) (types.ManagedObjectReference, error) {
	return j.manager(ctx, "extension manager", func(c types.ServiceContent) *types.ManagedObjectReference {
		return c.ExtensionManager
	})
}

func (j *job) events(ctx context.Context) (types.ManagedObjectReference, error) {
	return j.manager(ctx, "event manager", func(c types.ServiceContent) *types.ManagedObjectReference {
		return c.EventManager
	})
}

func (j *job) options(ctx context.Context) (types.ManagedObjectReference, error) {
	return j.manager(ctx, "option manager", func(c types.ServiceContent) *types.ManagedObjectReference {
		return c.Setting
	})
}

// rootFolder returns the entity that permissions are set on.
func (j *job) rootFolder(ctx context.Context) (types.ManagedObjectReference, error) {
	content, err := j.ServiceContent(ctx)
	return content.RootFolder, err
}
