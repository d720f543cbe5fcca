// Package service is the client of the QingStor object storage API.
//
// Its names, types and behaviour are those of the service package of QingStor's Go SDK v4; docs/sdk.md lists what
// differs. Every operation Op has three methods: Op sends a request and reads the answer, OpWithContext does so within a context, and
// OpRequest only prepares it, for links that are signed and sent by others.
//
// All fields are pointers, nil where something is not given or not answered; [String], [StringValue] and their like convert.
// Errors are *errors.QingStorError for what the server refused, and errors.ParameterRequiredError,
// errors.ParameterValueNotAllowedError, errors.SDKError or errors.UnhandledResponseError for the rest, all of package
// request/errors. Where there is an error the output is nil.
package service

import (
	"context"
	"errors"
	"strings"

	"github.com/cisternhq/cistern/config"
	"github.com/cisternhq/cistern/request"
	"github.com/cisternhq/cistern/request/data"
)

// Service is the API's root: it lists buckets and leads to one. It is safe for concurrent use as long as Config is not changed.
type Service struct {
	Config *config.Config
}

// Properties say what an operation addresses.
type Properties struct {
	BucketName *string `json:"bucket-name" name:"bucket-name"`
	ObjectKey  *string `json:"object-key" name:"object-key"`
	// Zone is the label in front of the service's host; "" stands for the host alone.
	Zone *string `json:"zone" name:"zone"`
}

// Bucket is one bucket. Nothing says that it exists. It is safe for concurrent use as long as its fields are not changed.
type Bucket struct {
	Config     *config.Config
	Properties *Properties
}

// Init returns a service for c, which is used, not copied. It fails only if c is nil.
func Init(c *config.Config) (*Service, error) {
	if c == nil {
		return nil, errors.New("no configuration was given")
	}
	return &Service{Config: c}, nil
}

// Bucket returns the bucket of that name in a zone such as "pek3a", which is put in lower case. It sends nothing and never fails.
//
// The zone stands in front of the host. It is left out if it is empty, if the host is an address, and if the host has no dot:
// "pek3a.127.0.0.1" and "pek3a.localhost" lead nowhere.
func (s *Service) Bucket(bucketName, zone string) (*Bucket, error) {
	zone = strings.ToLower(zone)
	return &Bucket{Config: s.Config, Properties: &Properties{BucketName: &bucketName, Zone: &zone}}, nil
}

// prepare makes a request of an operation, and the output that its answer will fill. in may be nil.
func prepare[Out any](c *config.Config, p *Properties, o op, in data.Input) (*request.Request, *Out, error) {
	operation := operations[o]
	operation.Config, operation.Properties = c, p
	out := new(Out)
	r, err := request.New(&operation, in, out)
	if err != nil {
		return nil, nil, err
	}
	return r, out, nil
}

// prepareBucket is prepare for a bucket, or an object in it.
func prepareBucket[Out any](b *Bucket, o op, in data.Input) (*request.Request, *Out, error) {
	return prepare[Out](b.Config, b.Properties, o, in)
}

// prepareObject is prepare for an object. The bucket's own properties stay as they are: others use them at the same time.
func prepareObject[Out any](b *Bucket, o op, key string, in data.Input) (*request.Request, *Out, error) {
	p := *b.Properties
	p.ObjectKey = &key
	return prepare[Out](b.Config, &p, o, in)
}

// send sends what prepare made.
func send[Out any](ctx context.Context, r *request.Request, out *Out, err error) (*Out, error) {
	if err == nil {
		err = r.SendWithContext(ctx)
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// orZero stands in for a nil input, so that what it requires is missed and what it defaults is sent.
func orZero[In any](in *In) *In {
	if in == nil {
		return new(In)
	}
	return in
}
