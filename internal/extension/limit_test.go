package extension_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/extension"
)

// said returns a registration whose description has the given size in bytes, and that declares the given
// number of privileges.
func said(key string, size, privileges int) extension.Registration {
	r := extension.Registration{Key: key, Data: fmt.Appendf(nil, `{"summary":%q}`, strings.Repeat("x", size))}
	for i := range privileges {
		r.Privileges = append(r.Privileges, extension.Privilege{ID: fmt.Sprint(key, ".p", i)})
	}
	return r
}

func TestExtensionsAreBounded(t *testing.T) {
	n, ctx, by := newNode(t), t.Context(), event.By("x")
	for i := range extension.MaxExtensions {
		must(t, n.Register(ctx, by, said(fmt.Sprint("com.example.", i), 10, 0)))
	}
	wantError(t, n.Register(ctx, by, said("com.example.more", 10, 0)), extension.ErrTooMany)
	must(t, n.Update(ctx, by, said("com.example.7", 100, 1), ""))
	must(t, n.Unregister(ctx, by, "com.example.8"))
	must(t, n.Register(ctx, by, said("com.example.more", 10, 0)))
	wantError(t, n.Register(ctx, by, said("com.example.8", 10, 0)), extension.ErrTooMany)
}

func TestWhatExtensionsSayAndDeclareIsBounded(t *testing.T) {
	n, ctx, by := newNode(t), t.Context(), event.By("x")
	const size = 250 << 10
	i := 0
	for ; i < 16<<20/size; i++ {
		must(t, n.Register(ctx, by, said(fmt.Sprint("com.example.", i), size, 0)))
	}
	wantError(t, n.Register(ctx, by, said("com.example.more", size, 0)), extension.ErrTooMany)
	must(t, n.Register(ctx, by, said("com.example.small", 10, 0)))
	wantError(t, n.Update(ctx, by, said("com.example.small", size, 0), ""), extension.ErrTooMany)
	must(t, n.Update(ctx, by, said("com.example.3", size-1000, 0), ""))
	must(t, n.Update(ctx, by, said("com.example.small", 500, 0), ""))

	n = newNode(t)
	for i := range 10 {
		must(t, n.Register(ctx, by, said(fmt.Sprint("com.example.", i), 10, 1000)))
	}
	wantError(t, n.Register(ctx, by, said("com.example.more", 10, 1)), extension.ErrTooMany)
	must(t, n.Register(ctx, by, said("com.example.more", 10, 0)))
	wantError(t, n.Update(ctx, by, said("com.example.more", 10, 1), ""), extension.ErrTooMany)
	must(t, n.Update(ctx, by, said("com.example.3", 10, 998), ""))
	must(t, n.Update(ctx, by, said("com.example.more", 10, 2), ""))
	wantError(t, n.Update(ctx, by, said("com.example.3", 10, 1000), ""), extension.ErrTooMany)
	if all := n.Table().Declared(); len(all) != 10_000 {
		t.Errorf("%d privileges are declared", len(all))
	}
}

func TestOneExtensionsRecordIsBounded(t *testing.T) {
	n, ctx, by := newNode(t), t.Context(), event.By("x")
	fat := said("com.example.fat", 250<<10, 0)
	for i := range 1000 {
		id := fmt.Sprintf("%04d%s", i, strings.Repeat("p", 250))
		fat.Privileges = append(fat.Privileges, extension.Privilege{ID: id, Group: id})
	}
	wantError(t, n.Register(ctx, by, fat), extension.ErrData)
	fat.Privileges = fat.Privileges[:400]
	must(t, n.Register(ctx, by, fat))
}
