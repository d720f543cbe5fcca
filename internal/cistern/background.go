package cistern

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/cisternhq/cistern/internal/accesslog"
	"github.com/cisternhq/cistern/internal/image"
	"github.com/cisternhq/cistern/internal/lifecycle"
	"github.com/cisternhq/cistern/internal/notify"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/origin"
	"github.com/cisternhq/cistern/internal/replicate"
	"github.com/cisternhq/cistern/internal/store"
)

// What a bucket has the server do by itself are settings of one form: what the job needs of it, beside the document that the owner sent, which he gets
// back as he sent it.
type background struct {
	Rules any `json:"rules"`
	// Document is the owner's.
	Document json.RawMessage `json:"document"`
}

// setBackground keeps what a job needs and the document that says so.
func (s *Server) setBackground(ctx context.Context, b store.Bucket, name string, rules any, doc []byte) error {
	var sent bytes.Buffer
	if err := json.Compact(&sent, doc); err != nil {
		return object.Explain(object.ErrInvalidRequest, "the document is no JSON")
	}
	setting, err := json.Marshal(background{rules, sent.Bytes()})
	if err != nil {
		return err
	}
	return s.store.SetSetting(ctx, b, name, setting)
}

// document returns the document of a job's setting as its owner sent it, or [object.ErrNoSetting].
func (s *Server) document(ctx context.Context, c Caller, bucket, name string) ([]byte, error) {
	b, err := s.open(ctx, c, bucket, "", own)
	if err != nil {
		return nil, err
	}
	setting, err := s.store.Setting(ctx, b, name)
	if err != nil {
		return nil, err
	}
	var v background
	if err := json.Unmarshal(setting, &v); err != nil {
		return nil, fmt.Errorf("%w: %s setting: %w", object.ErrDamaged, name, err)
	}
	return v.Document, nil
}

// removeBackground ends a job for a bucket; without a setting it does nothing.
func (s *Server) removeBackground(ctx context.Context, c Caller, bucket, name string) error {
	b, err := s.open(ctx, c, bucket, "", own)
	if err != nil {
		return err
	}
	return s.store.DeleteSetting(ctx, b, name)
}

// Lifecycle returns the document that says how a bucket's objects age, or [object.ErrNoSetting].
func (s *Server) Lifecycle(ctx context.Context, c Caller, bucket string) ([]byte, error) {
	return s.document(ctx, c, bucket, lifecycle.Setting)
}

// SetLifecycle lets a bucket's objects age by rules, from the next run on. doc is what says so.
func (s *Server) SetLifecycle(ctx context.Context, c Caller, bucket string, rules []lifecycle.Rule, doc []byte) error {
	b, err := s.open(ctx, c, bucket, "", own)
	if err != nil {
		return err
	}
	if err := lifecycle.Check(rules); err != nil {
		return err
	}
	return s.setBackground(ctx, b, lifecycle.Setting, rules, doc)
}

// RemoveLifecycle ends the ageing; objects stay as they are.
func (s *Server) RemoveLifecycle(ctx context.Context, c Caller, bucket string) error {
	return s.removeBackground(ctx, c, bucket, lifecycle.Setting)
}

// Notification returns the document that says who is told of what happens in a bucket, or [object.ErrNoSetting].
func (s *Server) Notification(ctx context.Context, c Caller, bucket string) ([]byte, error) {
	return s.document(ctx, c, bucket, notify.Setting)
}

// SetNotification lets others be told of what happens in a bucket from now on. doc is what says so. Like a mirror's site, an address may be private only for the
// operator.
func (s *Server) SetNotification(ctx context.Context, c Caller, bucket string, rules []notify.Rule, doc []byte) error {
	b, err := s.open(ctx, c, bucket, "", own)
	if err != nil {
		return err
	}
	if err := notify.Check(rules); err != nil {
		return err
	}
	for i := range rules {
		r := &rules[i]
		if r.Picture != nil {
			if err := s.checkPicture(ctx, b, r.Picture); err != nil {
				return object.Explain(object.ErrInvalidRequest, "notifications[%d].cloudfunc_args.%v", i, err)
			}
		}
		if r.URL == "" {
			continue
		}
		r.Private = c.Operator
		t, err := origin.ParseTarget(r.URL)
		if err == nil {
			t.Source.Private = r.Private
			err = s.origin.CheckTarget(t)
		}
		if err != nil {
			return object.Explain(object.ErrInvalidRequest, "notifications[%d].notify_url: %v", i, err)
		}
	}
	return s.setBackground(ctx, b, notify.Setting, rules, doc)
}

// checkPicture says what is wrong with what is to be made of pictures, by an error whose text is for the client. Without a bucket it is made in b.
func (s *Server) checkPicture(ctx context.Context, b store.Bucket, p *notify.Picture) error {
	if _, err := image.Parse(p.Action); err != nil {
		return fmt.Errorf("action: %w", err)
	}
	if p.Bucket == "" {
		p.Bucket = b.Name
	}
	to, err := s.store.Bucket(ctx, p.Bucket)
	if err == nil {
		err = s.may(ctx, Caller{Owner: b.Owner}, to, p.Prefix, createObject)
	}
	if err != nil {
		return fmt.Errorf("save_bucket: the owner of this bucket may not write to %q, or there is no such bucket", p.Bucket)
	}
	return nil
}

// Make makes of a picture what a notification says, with the rights of the bucket's owner, and stores that.
func (s *Server) Make(ctx context.Context, b store.Bucket, key string, p notify.Picture) error {
	a, err := image.Parse(p.Action)
	if err != nil {
		return err
	}
	owner := Caller{Owner: b.Owner}
	made, err := s.Process(ctx, owner, b.Name, key, Process{Action: a})
	if err != nil {
		return err
	}
	_, err = s.Put(ctx, owner, p.Bucket, p.Prefix+key, Upload{
		Meta: object.Meta{ContentType: made.Meta.ContentType}, Size: int64(len(made.Body)), Body: bytes.NewReader(made.Body),
	})
	return err
}

// RemoveNotification lets nobody be told any more, also not of what happened before.
func (s *Server) RemoveNotification(ctx context.Context, c Caller, bucket string) error {
	return s.removeBackground(ctx, c, bucket, notify.Setting)
}

// Replication returns the document that says where a bucket's changes are repeated, or [object.ErrNoSetting].
func (s *Server) Replication(ctx context.Context, c Caller, bucket string) ([]byte, error) {
	return s.document(ctx, c, bucket, replicate.Setting)
}

// SetReplication repeats a bucket's changes in another one from now on. doc is what says so. What counts is whether the bucket's owner may write there, now
// and with each change.
func (s *Server) SetReplication(ctx context.Context, c Caller, bucket string, rules []replicate.Rule, doc []byte) error {
	b, err := s.open(ctx, c, bucket, "", own)
	if err != nil {
		return err
	}
	if err := replicate.Check(rules); err != nil {
		return err
	}
	switch v, err := s.store.Versioning(ctx, b); {
	case err != nil:
		return err
	case v == store.Enabled:
		return object.Explain(object.ErrInvalidRequest, "the bucket keeps versions, so it cannot be replicated; suspend its versioning first")
	}
	refuse := func(i int, format string, args ...any) error {
		return object.Explain(object.ErrInvalidRequest, "rules[%d].destination.%s", i, fmt.Sprintf(format, args...))
	}
	name := rules[0].Bucket
	if name == bucket {
		return refuse(0, "bucket is the bucket itself")
	}
	to, err := s.store.Bucket(ctx, name)
	if errors.Is(err, object.ErrNoSuchBucket) {
		return refuse(0, "bucket %q does not exist", name)
	}
	if err != nil {
		return err
	}
	for i, r := range rules {
		if r.Zone != "" && r.Zone != to.Zone {
			return refuse(i, "zone is %q, the bucket is in %q", r.Zone, to.Zone)
		}
		needs := []action{createObject}
		if r.Deletes {
			needs = append(needs, deleteObject)
		}
		for _, need := range needs {
			err := s.may(ctx, Caller{Owner: b.Owner}, to, r.Prefix, need)
			if errors.Is(err, object.ErrDenied) {
				return refuse(i, "bucket %q does not let the owner of this one do %s", name, need)
			}
			if err != nil {
				return err
			}
		}
	}
	return s.setBackground(ctx, b, replicate.Setting, rules, doc)
}

// RemoveReplication ends the repeating; what was copied stays.
func (s *Server) RemoveReplication(ctx context.Context, c Caller, bucket string) error {
	return s.removeBackground(ctx, c, bucket, replicate.Setting)
}

// MayReplicate returns the bucket to, if the owner of from may make, or with remove delete, the object under key there.
func (s *Server) MayReplicate(ctx context.Context, from store.Bucket, to, key string, remove bool) (store.Bucket, error) {
	need := createObject
	if remove {
		need = deleteObject
	}
	return s.open(ctx, Caller{Owner: from.Owner}, to, key, need)
}

// Logging returns the document that says where the log of a bucket goes, or [object.ErrNoSetting].
func (s *Server) Logging(ctx context.Context, c Caller, bucket string) ([]byte, error) {
	return s.document(ctx, c, bucket, accesslog.Setting)
}

// maxLogName is what the server adds to the prefix of a log: two dashes more than the bucket's name, the hour, a number and the ending.
const maxLogName = 63 + len("-2006-01-02-15-999999.log")

// SetLogging has the requests for a bucket written down from now on. doc is what says so.
func (s *Server) SetLogging(ctx context.Context, c Caller, bucket string, t accesslog.Target, doc []byte) error {
	b, err := s.open(ctx, c, bucket, "", own)
	if err != nil {
		return err
	}
	if len(t.Prefix) > object.MaxKeyLen-maxLogName || !utf8.ValidString(t.Prefix) {
		return object.Explain(object.ErrInvalidRequest, "target_prefix is not UTF-8 of at most %d bytes", object.MaxKeyLen-maxLogName)
	}
	to, err := s.store.Bucket(ctx, t.Bucket)
	if errors.Is(err, object.ErrNoSuchBucket) || err == nil && !accesslog.Fits(b, to) {
		// Whether somebody else's bucket exists is nobody's business.
		return object.Explain(object.ErrInvalidRequest, "target_bucket %q is no bucket of the same owner in the same zone", t.Bucket)
	}
	if err != nil {
		return err
	}
	if err := s.setBackground(ctx, b, accesslog.Setting, t, doc); err != nil {
		return err
	}
	s.logging(ctx)
	return nil
}

// RemoveLogging ends the writing down. What was not delivered by then is dropped.
func (s *Server) RemoveLogging(ctx context.Context, c Caller, bucket string) error {
	if err := s.removeBackground(ctx, c, bucket, accesslog.Setting); err != nil {
		return err
	}
	s.logging(ctx)
	return nil
}

// Forget lets go of what is remembered of a key, after a job changed what is stored under it.
func (s *Server) Forget(b store.Bucket, key string) { s.filler.Forget(b.ID, key) }
