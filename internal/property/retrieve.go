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

func (s *service) retrieveProperties(ctx context.Context, c *vim.Call, r *types.RetrievePropertiesRequestType) ([]types.ObjectContent, error) {
	read, rest, err := s.prepare(ctx, c, r.SpecSet)
	if err != nil {
		return nil, err
	}
	return read.content(&retrieval{}, &rest, len(rest), false)
}

// retrievePropertiesEx gives no token to callers without a session, for it could
// not belong to them: they get all at once, which is little.
func (s *service) retrievePropertiesEx(ctx context.Context, c *vim.Call, r *types.RetrievePropertiesExRequestType) (*types.RetrieveResult, error) {
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
		return nil, err // the API's way to say that there is nothing
	}
	return out, nil
}

func (s *service) continueRetrieve(ctx context.Context, c *vim.Call, r *types.ContinueRetrievePropertiesExRequestType) (types.RetrieveResult, error) {
	p, err := s.takePage(c, r.Token)
	if err != nil {
		return types.RetrieveResult{}, err
	}
	read := s.newReader(ctx, c)
	read.keep = map[known]got{}
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

// prepare finds the objects of the request.
func (s *service) prepare(ctx context.Context, c *vim.Call, specs []types.PropertyFilterSpec) (*reader, []item, error) {
	if len(specs) > maxSpecs {
		return nil, nil, tooMany("specSet", maxSpecs)
	}
	read := s.newReader(ctx, c)
	if len(specs) > 1 {
		read.keep = map[known]got{}
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

// retrieval is a result, and room for what most are: one property of one object.
type retrieval struct {
	result  types.RetrieveResult
	objects [1]types.ObjectContent
	values  [1]types.DynamicProperty
}

// next reads the next objects, and keeps a page of what is left.
func (s *service) next(read *reader, rest []item, limit int) (*types.RetrieveResult, error) {
	var err error
	made := &retrieval{}
	out := &made.result
	if out.Objects, err = read.content(made, &rest, limit, read.call.Session != nil); err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		// A copy, so that what was read is not kept.
		rest = slices.Clone(rest)
		out.Token, err = s.keepPage(read.call, page{of: read.call.Object, rest: rest, limit: limit, plans: read.weight})
	}
	return out, err
}

// pageBytes is about how long an answer gets before the rest is left for another
// call.
const pageBytes = 8 << 20

// content reads up to limit of the objects and takes them off. Those that have
// gone meanwhile are left out. With pages it stops when the answer is long.
func (r *reader) content(made *retrieval, rest *[]item, limit int, pages bool) ([]types.ObjectContent, error) {
	all, few := room(made.objects[:], min(limit, len(*rest)))[:0], made.values[:]
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
			if fault := r.api.Answer(r.call, r.weigh(results)); fault != nil {
				return nil, fault
			}
			all = append(all, r.object(it, results, few))
			few = nil
		}
	}
	return all, nil
}

func (r *reader) object(it item, results []result, few []types.DynamicProperty) types.ObjectContent {
	o := types.ObjectContent{Obj: it.ref}
	if len(results) > 0 {
		o.PropSet = room(few, len(results))[:0]
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

// maxPages is how many retrievals a session may leave unfinished; the oldest
// gives way.
const maxPages = 32

// page is what is left of a retrieval.
type page struct {
	of    types.ManagedObjectReference // the collector that it was asked of
	rest  []item
	limit int
	plans int64 // about how many bytes the plans of its items take
	hold  *budget.Hold
}

// weightOf is about how many bytes of memory the items take, beside their plans.
func weightOf(items []item) int64 {
	const each = 64
	n := int64(0)
	for i := range items {
		n += each + int64(len(items[i].ref.Value))
	}
	return n
}

func (s *service) keepPage(c *vim.Call, p page) (string, error) {
	o, err := s.own(c)
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

var errToken = errors.New("no such token, or it was used")

// takePage takes what a token stands for: each is good once.
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
