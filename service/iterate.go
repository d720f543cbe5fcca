package service

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

// The iterators read a listing page by page as it is ranged over, and stop with an error as their last element: an element comes either with a nil
// error or is nil. They may be ranged over more than once, each time from the beginning, and input is not changed. QingStor's SDK lacks them.

// errDelimiter: common prefixes are no elements.
var errDelimiter = errors.New("a delimiter makes common prefixes, which only pages have: range over pages instead")

// Buckets lists all of the caller's buckets from input's Offset on; input may be nil. Its Limit is how many one request asks for, nil means 200.
func (s *Service) Buckets(ctx context.Context, input *ListBucketsInput) iter.Seq2[*BucketType, error] {
	return func(yield func(*BucketType, error) bool) {
		in := *orZero(input)
		if IntValue(in.Limit) <= 0 {
			in.Limit = Int(200)
		}
		offset, first := IntValue(in.Offset), ""
		for {
			in.Offset = &offset
			page, err := s.ListBucketsWithContext(ctx, &in)
			if err != nil {
				yield(nil, err)
				return
			}
			if len(page.Buckets) > 0 {
				name := StringValue(page.Buckets[0].Name)
				if name == first && first != "" {
					yield(nil, fmt.Errorf("the listing does not go on: bucket %q begins two pages", name))
					return
				}
				first = name
			}
			for _, b := range page.Buckets {
				if !yield(b, nil) {
					return
				}
			}
			if len(page.Buckets) < *in.Limit {
				return
			}
			offset += len(page.Buckets)
		}
	}
}

// Objects lists all of the bucket's objects from input's Marker on, in byte order of their keys; input may be nil, and has no Delimiter.
// Its Limit is how many one request asks for.
func (b *Bucket) Objects(ctx context.Context, input *ListObjectsInput) iter.Seq2[*KeyType, error] {
	if input != nil && StringValue(input.Delimiter) != "" {
		return failed[*KeyType](errDelimiter)
	}
	return elements(b.ObjectPages(ctx, input), func(p *ListObjectsOutput) []*KeyType { return p.Keys })
}

// ObjectPages lists the bucket's objects and common prefixes from input's Marker on, a page at a time; input may be nil.
func (b *Bucket) ObjectPages(ctx context.Context, input *ListObjectsInput) iter.Seq2[*ListObjectsOutput, error] {
	return func(yield func(*ListObjectsOutput, error) bool) {
		in := *orZero(input)
		pages(yield, func() (*ListObjectsOutput, error) { return b.ListObjectsWithContext(ctx, &in) },
			func(p *ListObjectsOutput) (bool, string) {
				in.Marker = p.NextMarker
				return BoolValue(p.HasMore), StringValue(p.NextMarker)
			})
	}
}

// Uploads lists all of the bucket's unfinished uploads from input's KeyMarker on; input may be nil, and has no Delimiter.
// Its Limit is how many one request asks for.
func (b *Bucket) Uploads(ctx context.Context, input *ListMultipartUploadsInput) iter.Seq2[*UploadsType, error] {
	if input != nil && StringValue(input.Delimiter) != "" {
		return failed[*UploadsType](errDelimiter)
	}
	return elements(b.UploadPages(ctx, input), func(p *ListMultipartUploadsOutput) []*UploadsType { return p.Uploads })
}

// UploadPages lists the bucket's unfinished uploads and common prefixes from input's KeyMarker on, a page at a time; input may be nil.
func (b *Bucket) UploadPages(ctx context.Context, input *ListMultipartUploadsInput) iter.Seq2[*ListMultipartUploadsOutput, error] {
	return func(yield func(*ListMultipartUploadsOutput, error) bool) {
		in := *orZero(input)
		pages(yield, func() (*ListMultipartUploadsOutput, error) { return b.ListMultipartUploadsWithContext(ctx, &in) },
			func(p *ListMultipartUploadsOutput) (bool, string) {
				in.KeyMarker, in.UploadIDMarker = p.NextKeyMarker, p.NextUploadIDMarker
				return BoolValue(p.HasMore), StringValue(p.NextKeyMarker) + "\x00" + StringValue(p.NextUploadIDMarker)
			})
	}
}

// Versions lists all versions of the bucket's objects from input's KeyMarker on; input may be nil, and has no Delimiter.
// Its Limit is how many one request asks for.
func (b *Bucket) Versions(ctx context.Context, input *ListObjectVersionsInput) iter.Seq2[*ObjectVersionType, error] {
	if input != nil && StringValue(input.Delimiter) != "" {
		return failed[*ObjectVersionType](errDelimiter)
	}
	return elements(b.VersionPages(ctx, input), func(p *ListObjectVersionsOutput) []*ObjectVersionType { return p.Keys })
}

// VersionPages lists the versions of the bucket's objects and common prefixes from input's KeyMarker on, a page at a time; input may be nil.
func (b *Bucket) VersionPages(ctx context.Context, input *ListObjectVersionsInput) iter.Seq2[*ListObjectVersionsOutput, error] {
	return func(yield func(*ListObjectVersionsOutput, error) bool) {
		in := *orZero(input)
		pages(yield, func() (*ListObjectVersionsOutput, error) { return b.ListObjectVersionsWithContext(ctx, &in) },
			func(p *ListObjectVersionsOutput) (bool, string) {
				in.KeyMarker, in.VersionIDMarker = p.NextKeyMarker, p.NextVersionIDMarker
				return BoolValue(p.HasMore), StringValue(p.NextKeyMarker) + "\x00" + StringValue(p.NextVersionIDMarker)
			})
	}
}

// Parts lists all parts of an upload behind input's PartNumberMarker, in the order of their numbers. input's UploadID is required, its Limit
// is how many one request asks for.
func (b *Bucket) Parts(ctx context.Context, objectKey string, input *ListMultipartInput) iter.Seq2[*ObjectPartType, error] {
	return func(yield func(*ObjectPartType, error) bool) {
		in := *orZero(input)
		for {
			page, err := b.ListMultipartWithContext(ctx, objectKey, &in)
			if err != nil {
				yield(nil, err)
				return
			}
			if len(page.ObjectParts) == 0 {
				return
			}
			for _, p := range page.ObjectParts {
				n := IntValue(p.PartNumber)
				if in.PartNumberMarker != nil && n <= *in.PartNumberMarker {
					yield(nil, fmt.Errorf("the listing does not go on: part %d comes after part %d", n, *in.PartNumberMarker))
					return
				}
				in.PartNumberMarker = &n
				if !yield(p, nil) {
					return
				}
			}
		}
	}
}

// pages asks for pages until there are no more. next takes what a page says of the following one; a server that says the same twice would be asked
// for ever.
func pages[Page any](yield func(*Page, error) bool, ask func() (*Page, error), next func(*Page) (more bool, marker string)) {
	last := ""
	for {
		page, err := ask()
		if err != nil {
			yield(nil, err)
			return
		}
		if !yield(page, nil) {
			return
		}
		more, marker := next(page)
		switch {
		case !more:
			return
		case marker == "" || marker == "\x00" || marker == last:
			yield(nil, fmt.Errorf("the listing does not go on: there is more behind %q, says the server again", marker))
			return
		}
		last = marker
	}
}

// elements takes pages apart.
func elements[Page, T any](pages iter.Seq2[*Page, error], of func(*Page) []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for page, err := range pages {
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, e := range of(page) {
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

func failed[T any](err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		yield(none, err)
	}
}
