package cistern

import (
	"context"
	"errors"
	"fmt"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/policy"
	"github.com/cisternhq/cistern/internal/store"
)

// Policy returns the statements of a bucket's policy as JSON, a list, or [object.ErrNoSetting].
func (s *Server) Policy(ctx context.Context, c Caller, bucket string) (statements []byte, err error) {
	b, err := s.open(ctx, c, bucket, "", own)
	if err != nil {
		return nil, err
	}
	return s.store.Setting(ctx, b, policySetting)
}

// SetPolicy replaces the policy of a bucket by statements, a JSON list. It fails as [policy.Parse] does.
func (s *Server) SetPolicy(ctx context.Context, c Caller, bucket string, statements []byte) error {
	b, err := s.open(ctx, c, bucket, "", own)
	if err != nil {
		return err
	}
	p, err := policy.Parse(statements, b.Name)
	if err != nil {
		return err
	}
	return s.store.SetSetting(ctx, b, policySetting, p.Document())
}

// RemovePolicy takes the policy of a bucket away; without one it does nothing.
func (s *Server) RemovePolicy(ctx context.Context, c Caller, bucket string) error {
	b, err := s.open(ctx, c, bucket, "", own)
	if err != nil {
		return err
	}
	return s.store.DeleteSetting(ctx, b, policySetting)
}

// policy returns the policy of b, nil if it has none.
func (s *Server) policy(ctx context.Context, b store.Bucket) (*policy.Policy, error) {
	if !b.Settings.May(policySetting) {
		return nil, nil
	}
	doc, err := s.store.Setting(ctx, b, policySetting)
	if errors.Is(err, object.ErrNoSetting) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.policies.get(b.ID, doc, func(doc []byte) (*policy.Policy, error) {
		p, err := policy.Parse(doc, b.Name)
		if err != nil {
			// Nobody but the operator comes in by a policy that cannot be read. Its owner can still replace it.
			err = fmt.Errorf("%w: policy setting: %v", object.ErrDamaged, err)
		}
		return p, err
	})
}
