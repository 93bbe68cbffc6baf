package property

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/budget"
	"github.com/vigate/vigate/internal/property/value"
	"github.com/vigate/vigate/internal/vim"
)

func (s *service) retrieveProperties(
	ctx context.Context, c *vim.Call, r *types.RetrievePropertiesRequestType,
) ([]types.ObjectContent, error) {
	read, rest, err := s.prepare(ctx, c, r.SpecSet)
	if err != nil {
		return nil, err
	}
	return read.content(&retrieval{}, &rest, len(rest), false)
}

// retrievePropertiesEx reads the properties in pages. A caller without a session gets everything in
// one response: a token could not belong to it, and it may read only little.
func (s *service) retrievePropertiesEx(
	ctx context.Context, c *vim.Call, r *types.RetrievePropertiesExRequestType,
) (*types.RetrieveResult, error) {
	limit := int(r.Options.MaxObjects)
	if limit < 0 {
		return nil, vim.InvalidArgument("options.maxObjects", errors.New("negative"))
	}
	read, rest, err := s.prepare(ctx, c, r.SpecSet)
	if err != nil {
		return nil, err
	}
	if limit == 0 || c.Session == nil {
		limit = len(rest)
	}
	out, err := s.next(read, rest, limit)
	if err != nil || len(out.Objects) == 0 {
		return nil, err // in the API, an unset result means that nothing was found
	}
	return out, nil
}

func (s *service) continueRetrieve(
	ctx context.Context, c *vim.Call, r *types.ContinueRetrievePropertiesExRequestType,
) (types.RetrieveResult, error) {
	p, err := s.takePage(c, r.Token)
	if err != nil {
		return types.RetrieveResult{}, err
	}
	read := s.newReader(ctx, c)
	read.keep = map[propertyKey]readResult{}
	read.weight = p.plans
	out, err := s.next(read, p.rest, p.limit)
	if err != nil {
		return types.RetrieveResult{}, err
	}
	return *out, nil
}

func (s *service) cancelRetrieve(_ context.Context, c *vim.Call, r *types.CancelRetrievePropertiesExRequestType) error {
	_, err := s.takePage(c, r.Token)
	return err
}

// prepare compiles the specs of a request and finds their objects.
func (s *service) prepare(ctx context.Context, c *vim.Call, specs []types.PropertyFilterSpec) (*reader, []item, error) {
	if len(specs) > maxSpecs {
		return nil, nil, tooMany("specSet", maxSpecs)
	}
	read := s.newReader(ctx, c)
	if len(specs) > 1 {
		read.keep = map[propertyKey]readResult{}
	}
	var all []item
	for i := range specs {
		f, err := s.compile(&specs[i])
		if err != nil {
			return nil, nil, err
		}
		found, err := read.selectObjects(f, true)
		if err != nil {
			return nil, nil, err
		}
		read.weight += int64(f.weight)
		if i == 0 {
			all = found.items
		} else {
			all = append(all, found.items...)
		}
	}
	return read, all, nil
}

// retrieval is a result with memory for the usual case, one property of one object.
type retrieval struct {
	result  types.RetrieveResult
	objects [1]types.ObjectContent
	values  [1]types.DynamicProperty
}

// next reads the next objects and stores the remaining ones as a page.
func (s *service) next(read *reader, rest []item, limit int) (*types.RetrieveResult, error) {
	var err error
	made := &retrieval{}
	out := &made.result
	if out.Objects, err = read.content(made, &rest, limit, read.call.Session != nil); err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		// The copy releases the items that were already read.
		rest = slices.Clone(rest)
		out.Token, err = s.keepPage(read.call, page{of: read.call.Object, rest: rest, limit: limit, plans: read.weight})
	}
	return out, err
}

// pageBytes is the approximate size of a response after which the rest is left for another call.
const pageBytes = 8 << 20

// content reads up to limit objects and removes them from rest. It leaves out objects that no
// longer exist. If pages is set, it stops when the response is long.
func (r *reader) content(made *retrieval, rest *[]item, limit int, pages bool) ([]types.ObjectContent, error) {
	all, buf := sliceOf(made.objects[:], min(limit, len(*rest)))[:0], made.values[:]
	for len(*rest) > 0 && len(all) < limit {
		if pages && r.call.Weight() > pageBytes && len(all) > 0 {
			break
		}
		it := (*rest)[0]
		*rest = (*rest)[1:]
		results, ok, err := r.evaluate(it)
		if err != nil {
			return nil, err
		}
		if ok {
			if fault := r.api.Answer(r.call, r.weigh(results, false)); fault != nil {
				return nil, fault
			}
			all = append(all, r.object(it, results, buf))
			buf = nil
		}
	}
	return all, nil
}

func (r *reader) object(it item, results []result, buf []types.DynamicProperty) types.ObjectContent {
	o := types.ObjectContent{Obj: it.ref}
	if len(results) > 0 {
		o.PropSet = sliceOf(buf, len(results))[:0]
	}
	for i := range results {
		name := it.plan.paths[i].Text
		switch results[i].state {
		case value.Present:
			o.PropSet = append(o.PropSet, types.DynamicProperty{Name: name, Val: r.values.Box(results[i].at)})
		case missing:
			o.MissingSet = append(o.MissingSet, r.missing(name, results[i].fault))
		}
	}
	return o
}

func (r *reader) missing(name string, f *vim.Fault) types.MissingProperty {
	return types.MissingProperty{Path: name, Fault: r.localized(f)}
}

func (r *reader) localized(f *vim.Fault) types.LocalizedMethodFault {
	return types.LocalizedMethodFault{Fault: f.Detail, LocalizedMessage: f.Text(r.api.MessageLocale(r.call))}
}

// maxPages is the maximum number of unfinished retrievals of a session. A new one evicts the
// oldest.
const maxPages = 32

// page is the rest of a retrieval.
type page struct {
	of    types.ManagedObjectReference // the collector that was called
	rest  []item
	limit int
	plans int64 // approximate size in bytes of the plans of its items
	hold  *budget.Hold
}

// weightOf returns the approximate size of the items in bytes, without their plans.
func weightOf(items []item) int64 {
	const each = 64
	n := int64(0)
	for i := range items {
		n += each + int64(len(items[i].ref.Value))
	}
	return n
}

func (s *service) keepPage(c *vim.Call, p page) (string, error) {
	o, err := s.ensureOwner(c)
	if err != nil {
		return "", err
	}
	var fault *vim.Fault
	if p.hold, fault = s.api.Hold(c, budget.Of(budget.Memory, p.plans+weightOf(p.rest))); fault != nil {
		return "", fault
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tokens++
	if o.pages == nil {
		o.pages = map[uint64]page{}
	}
	o.pages[o.tokens] = p
	if len(o.pages) > maxPages {
		oldest := o.tokens
		for t := range o.pages {
			oldest = min(oldest, t)
		}
		o.pages[oldest].hold.Release()
		delete(o.pages, oldest)
	}
	return strconv.FormatUint(o.tokens, 10), nil
}

var errToken = errors.New("the token is unknown or was already used")

// takePage returns the page of a token and removes it. Each token can be used once.
func (s *service) takePage(c *vim.Call, token string) (page, error) {
	o := s.owner(c)
	n, err := strconv.ParseUint(token, 10, 64)
	if err != nil || o == nil {
		return page{}, vim.InvalidArgument("token", errToken)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	p, ok := o.pages[n]
	if !ok || p.of != c.Object {
		return page{}, vim.InvalidArgument("token", errToken)
	}
	delete(o.pages, n)
	p.hold.Release()
	return p, nil
}
