package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"os"

	"github.com/vigate/vigate/internal/store"
)

// bbolt reads its file through a memory map and trusts the contents. A damaged page makes it panic
// (even in goroutines of its own), read outside the map, or loop for ever. So this file first reads
// all pages that are in use. It checks them against the format in bbolt's
// internal/common/{meta,page,bucket}.go, version 2.
const (
	pageHeader = 16 // id(8) flags(2) count(2) overflow(4)
	element    = 16 // leaf: flags(4) at(4) key(4) value(4); branch: at(4) key(4) page(8)
	// A meta page: magic(4) version(4) page size(4) flags(4) root(8) sequence(8) freelist(8)
	// pages(8) txid(8) sum(8)
	metaLen     = 64
	bucketLen   = 16 // root(8) sequence(8)
	metaMagic   = 0xED0CDAED
	metaVersion = 2

	branchPage = 0x01
	leafPage   = 0x02
	metaPage   = 0x04
	isBucket   = 0x01 // flag of a leaf's element

	maxPageSize = 1 << 16
	maxSpan     = 1 << 31 // bytes of one page with its overflow
)

// native is the byte order of numbers in the file: that of the machine.
var native = binary.NativeEndian

// pageCheck is one check of all pages that are in use.
type pageCheck struct {
	f      *os.File
	report func(error) bool // returns whether to go on
	size   uint64           // of a page
	pages  uint64           // number of pages below the high water mark
	seen   []uint64         // bit set of pages
	ended  bool
	free   [][]byte // buffers for pages
}

// checkPages reports the damage in the file's pages, until report returns false.
func checkPages(f *os.File, report func(error) bool) {
	c := &pageCheck{f: f, report: report}
	root, ok := c.metas()
	if !ok || c.ended {
		return
	}
	c.seen = make([]uint64, c.pages/64+1)
	c.claim(0, 2)
	c.page(root, nil, nil)
}

// damage reports a damage. It returns false.
func (c *pageCheck) damage(page uint64, format string, args ...any) bool {
	if !c.ended {
		where := c.f.Name()
		if c.size > 0 {
			where = fmt.Sprintf("%s, page %d", where, page)
		}
		c.ended = !c.report(&store.DamagedError{Where: where, Cause: fmt.Errorf(format, args...)})
	}
	return false
}

// meta holds the fields of a meta page that the check needs.
type meta struct {
	size, root, pages, txid uint64
}

// metas reads both meta pages. bbolt writes them in turn. If the newer one is damaged, bbolt would
// use the older one, and so undo the last commit. So damage in either is an error.
func (c *pageCheck) metas() (root uint64, ok bool) {
	info, err := c.f.Stat()
	if err != nil {
		return 0, c.damage(0, "%w", err)
	}
	if info.Size() == 0 {
		return 0, c.damage(0, "the file is empty")
	}
	first, err := c.meta(0)
	if err != nil {
		return 0, c.damage(0, "meta page 0: %w", err)
	}
	second, err := c.meta(int64(first.size))
	if err != nil {
		return 0, c.damage(0, "meta page 1: %w", err)
	}
	if second.txid > first.txid {
		first, second = second, first
	}
	if first.txid != second.txid+1 || first.size != second.size {
		return 0, c.damage(0, "the meta pages don't follow each other: %d, %d", first.txid, second.txid)
	}
	if first.pages < 2 || first.pages > uint64(info.Size())/first.size {
		return 0, c.damage(0, "the file is cut off: %d bytes, %d pages of %d needed",
			info.Size(), first.pages, first.size)
	}
	c.size, c.pages = first.size, first.pages
	return first.root, true
}

func (c *pageCheck) meta(at int64) (m meta, err error) {
	var b [pageHeader + metaLen]byte
	if _, err := c.f.ReadAt(b[:], at); err != nil {
		return m, fmt.Errorf("read: %w", err)
	}
	if native.Uint16(b[8:])&metaPage == 0 {
		return m, errors.New("not a meta page")
	}
	body := b[pageHeader:]
	if native.Uint32(body) != metaMagic || native.Uint32(body[4:]) != metaVersion {
		return m, errors.New("not of a bbolt file of version 2")
	}
	h := fnv.New64a()
	h.Write(body[:metaLen-8])
	if h.Sum64() != native.Uint64(body[metaLen-8:]) {
		return m, errSum
	}
	m = meta{
		size: uint64(native.Uint32(body[8:])), root: native.Uint64(body[16:]),
		pages: native.Uint64(body[40:]), txid: native.Uint64(body[48:]),
	}
	if m.size < 1024 || m.size > maxPageSize || m.size&(m.size-1) != 0 {
		return m, fmt.Errorf("page size %d", m.size)
	}
	return m, nil
}

// claim notes that n pages are in use. It reports a damage if one of them is in use already.
func (c *pageCheck) claim(page, n uint64) bool {
	if page >= c.pages || n > c.pages-page {
		return c.damage(page, "%d pages from here, but the file has %d", n, c.pages)
	}
	for i := page; i < page+n; i++ {
		if c.seen[i/64]&(1<<(i%64)) != 0 {
			return c.damage(i, "used twice")
		}
		c.seen[i/64] |= 1 << (i % 64)
	}
	return true
}

// page checks a page and all pages below it. Its keys must be at least low, and less than high. nil
// means no bound.
func (c *pageCheck) page(id uint64, low, high []byte) {
	if c.ended || !c.claim(id, 1) {
		return
	}
	buffer := c.buffer(c.size)
	defer func() { c.free = append(c.free, buffer) }()
	if !c.read(id, buffer) {
		return
	}
	p := buffer
	if overflow := uint64(native.Uint32(buffer[12:])); overflow > 0 {
		if (overflow+1)*c.size > maxSpan {
			c.damage(id, "%d pages long", overflow+1)
			return
		}
		if !c.claim(id+1, overflow) {
			return
		}
		if p = make([]byte, (overflow+1)*c.size); !c.read(id, p) {
			return
		}
	}
	if got := native.Uint64(p); got != id {
		c.damage(id, "says that it is page %d", got)
		return
	}
	c.content(id, p, low, high, false)
}

func (c *pageCheck) buffer(size uint64) []byte {
	if n := len(c.free); n > 0 {
		b := c.free[n-1]
		c.free = c.free[:n-1]
		return b
	}
	return make([]byte, size)
}

func (c *pageCheck) read(id uint64, p []byte) bool {
	if _, err := c.f.ReadAt(p, int64(id*c.size)); err != nil {
		return c.damage(id, "read: %w", err)
	}
	return true
}

// content checks the content of a page. The page is either on disk, or inline in an element of a
// leaf; it then fills the element. Only an inline page may be empty, because bbolt makes small
// buckets inline.
//
// The bytes of the elements follow the element headers and each other without a gap, as bbolt
// writes them. So a wrong count does not hide records.
func (c *pageCheck) content(id uint64, p, low, high []byte, inline bool) {
	flags, count := native.Uint16(p[8:]), int(native.Uint16(p[10:]))
	if flags != branchPage && flags != leafPage {
		c.damage(id, "flags %#x", flags)
		return
	}
	next := pageHeader + count*element
	if count == 0 && !inline || next > len(p) {
		c.damage(id, "%d elements", count)
		return
	}
	elements := make([]pageElement, count)
	for i := range elements {
		e, ok := parseElement(p, i, flags)
		if !ok || e.at != next {
			c.damage(id, "element %d is not in its place", i)
			return
		}
		next += len(e.key) + len(e.value)
		elements[i] = e
		if i > 0 && bytes.Compare(elements[i-1].key, e.key) >= 0 {
			c.damage(id, "keys %d and %d are out of order", i-1, i)
			return
		}
	}
	if inline && next != len(p) {
		c.damage(id, "an inline bucket of %d bytes ends at %d", len(p), next)
		return
	}
	if count == 0 {
		return
	}
	if low != nil && bytes.Compare(elements[0].key, low) < 0 ||
		high != nil && bytes.Compare(elements[count-1].key, high) >= 0 {
		c.damage(id, "keys belong to another page")
		return
	}
	c.below(id, flags, elements, high)
}

// below checks the pages and buckets that the elements of a page point to.
func (c *pageCheck) below(id uint64, flags uint16, elements []pageElement, high []byte) {
	for i, e := range elements {
		switch {
		case flags == branchPage:
			next := high
			if i+1 < len(elements) {
				next = elements[i+1].key
			}
			c.page(e.page, e.key, next)
		case e.bucket:
			c.nested(id, e.value)
		}
	}
}

// pageElement is an element of a branch or a leaf. Its slices are parts of the page.
type pageElement struct {
	at         int // offset of the key in the page
	key, value []byte
	page       uint64
	bucket     bool
}

func parseElement(p []byte, i int, flags uint16) (e pageElement, ok bool) {
	start := pageHeader + i*element
	b := p[start : start+element]
	var at, key, value uint64
	if flags == branchPage {
		at, key = uint64(native.Uint32(b)), uint64(native.Uint32(b[4:]))
		e.page = native.Uint64(b[8:])
	} else {
		if f := native.Uint32(b); f != 0 && f != isBucket {
			return e, false
		}
		e.bucket = native.Uint32(b) == isBucket
		at, key, value = uint64(native.Uint32(b[4:])), uint64(native.Uint32(b[8:])), uint64(native.Uint32(b[12:]))
	}
	at += uint64(start) // all four fit in 64 bits, and so does their sum
	if key == 0 || at+key+value > uint64(len(p)) {
		return e, false
	}
	e.at, e.key, e.value = int(at), p[at:at+key:at+key], p[at+key:at+key+value]
	return e, true
}

// nested checks a bucket. A small bucket is a page inside the element.
func (c *pageCheck) nested(id uint64, b []byte) {
	switch {
	case len(b) < bucketLen:
		c.damage(id, "a bucket of %d bytes", len(b))
	case native.Uint64(b) != 0:
		c.page(native.Uint64(b), nil, nil)
	case len(b) < bucketLen+pageHeader:
		c.damage(id, "an inline bucket of %d bytes", len(b))
	case native.Uint16(b[bucketLen+8:]) != leafPage:
		c.damage(id, "an inline bucket that is not a leaf")
	default:
		c.content(id, b[bucketLen:], nil, nil, true)
	}
}
