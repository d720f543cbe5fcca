// Package request makes HTTP requests of operations with their inputs.
//
// It also sends them, and reads the answers into outputs; package service uses it for every call. Programs need it themselves to
// sign a request without sending it: take one from a method such as GetObjectRequest, call Build, then SignQuery, and read
// HTTPRequest.URL.
package request

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/cisternhq/cistern/config"
	"github.com/cisternhq/cistern/internal/wire"
	"github.com/cisternhq/cistern/request/data"
	qserrors "github.com/cisternhq/cistern/request/errors"
	"github.com/cisternhq/cistern/request/response"
	signer "github.com/cisternhq/cistern/request/signer/v2"
)

// Request is one call of an operation. It may be sent more than once, one at a time, if its body can seek or has none;
// it is not safe for concurrent use.
type Request struct {
	Operation *data.Operation
	Input     *reflect.Value
	Output    *reflect.Value

	// HTTPRequest is there after Build.
	HTTPRequest *http.Request
	// HTTPResponse is there after Do. Its body has been read unless the output has a Body.
	HTTPResponse *http.Response

	start *int64 // where a body that can seek is read from; nil before the first Build
	spent bool   // a body that cannot seek was sent, or the transport did not give it back
	lent  loans
}

// New returns a request for o with input i, which may be nil, whose answer fills the struct that x points to; x may be nil.
// It validates i, so that its errors come before any traffic.
func New(o *data.Operation, i data.Input, x interface{}) (*Request, error) {
	input := reflect.ValueOf(i)
	if input.IsValid() && (input.Kind() != reflect.Pointer || !input.IsNil()) {
		if err := i.Validate(); err != nil {
			return nil, err
		}
	}
	output := reflect.ValueOf(x)
	return &Request{Operation: o, Input: &input, Output: &output}, nil
}

// Send builds, signs and does the request.
//
// Deprecated: use SendWithContext.
func (r *Request) Send() error { return r.SendWithContext(context.Background()) }

// SendWithContext builds, signs and does the request. A nil ctx means context.Background.
//
// Where the server answers 429 or 503, and both the operation and its body can be repeated, it does so again, as often as the configuration's MaxRetries, after
// the time that Retry-After says or else a growing one. The error is the last answer's. The other methods of a Request send once.
func (r *Request) SendWithContext(ctx context.Context) error {
	ctx = orBackground(ctx)
	for attempt := 0; ; attempt++ {
		if err := r.BuildWithContext(ctx); err != nil {
			return err
		}
		if err := r.SignWithContext(ctx); err != nil {
			return err
		}
		err := r.DoWithContext(ctx)
		if err == nil {
			return nil
		}
		wait, again := r.again(ctx, attempt)
		if !again {
			return err
		}
		if err := pause(ctx, wait, err); err != nil {
			return err
		}
	}
}

// Build makes HTTPRequest, unsigned.
//
// Deprecated: use BuildWithContext.
func (r *Request) Build() error { return r.BuildWithContext(context.Background()) }

// BuildWithContext makes HTTPRequest, unsigned. It rewinds a body that can seek.
// It fails with an errors.SDKError.
func (r *Request) BuildWithContext(ctx context.Context) error {
	if err := r.build(orBackground(ctx)); err != nil {
		return sdkError("build request", err)
	}
	return nil
}

// Sign sets the Authorization header, after Build.
//
// Deprecated: use SignWithContext.
func (r *Request) Sign() error { return r.SignWithContext(context.Background()) }

// SignWithContext sets the Authorization header, after Build. Without keys the request stays anonymous.
func (r *Request) SignWithContext(_ context.Context) error {
	s, err := r.signer()
	if err == nil && s != nil {
		err = s.WriteSignature(r.canonical())
	}
	if err != nil {
		return sdkError("sign request", err)
	}
	return nil
}

// SignQuery turns HTTPRequest.URL, after Build, into a link that is good for timeoutSeconds from now. Headers of the request that are
// signed, which are Content-MD5, Content-Type and those beginning with X-QS-, have to be sent with the link.
func (r *Request) SignQuery(timeoutSeconds int) error {
	s, err := r.signer()
	switch {
	case err != nil:
	case s == nil:
		err = errors.New("a link cannot be signed without access keys")
	case timeoutSeconds <= 0:
		err = fmt.Errorf("a link cannot be good for %d seconds", timeoutSeconds)
	default:
		err = s.WriteQuerySignature(r.canonical(), int(time.Now().Unix())+timeoutSeconds)
	}
	if err != nil {
		return sdkError("sign request", err)
	}
	return nil
}

// ApplySignature sets the Authorization header to a value that was made elsewhere, after Build.
func (r *Request) ApplySignature(authorization string) error {
	if r.HTTPRequest == nil {
		return sdkError("sign request", errNotBuilt)
	}
	r.HTTPRequest.Header.Set("Authorization", authorization)
	return nil
}

// ApplyQuerySignature makes HTTPRequest.URL a signed link with a signature that was made elsewhere, after Build.
// expires is in seconds since 1970.
func (r *Request) ApplyQuerySignature(accessKeyID string, expires int, signature string) error {
	if r.HTTPRequest == nil {
		return sdkError("sign request", errNotBuilt)
	}
	u := r.HTTPRequest.URL
	query := signer.Unsigned(u.RawQuery)
	if query != "" {
		query += "&"
	}
	u.RawQuery = query + signer.QueryParameters(accessKeyID, strconv.Itoa(expires), signature)
	return nil
}

// Do sends HTTPRequest and reads the answer into the output.
//
// Deprecated: use DoWithContext.
func (r *Request) Do() error { return r.DoWithContext(context.Background()) }

// DoWithContext sends HTTPRequest and reads the answer into the output. If the output has a Body, that is open afterwards: the caller
// closes it, and ctx has to last as long as it is read.
//
// It fails with a *errors.QingStorError if the server answers with a status outside the operation's, with an
// errors.UnhandledResponseError if that answer is not the API's, and with an errors.SDKError if there was no answer or it could not be read.
func (r *Request) DoWithContext(ctx context.Context) error {
	if r.HTTPRequest == nil {
		return sdkError("send request", errNotBuilt)
	}
	client := http.DefaultClient
	if c := r.Operation.Config; c != nil && c.Connection != nil {
		client = c.Connection
	}
	r.HTTPRequest = r.HTTPRequest.WithContext(orBackground(ctx))
	if body := r.HTTPRequest.Body; body != nil && body != http.NoBody && r.start == nil && r.HTTPRequest.GetBody == nil {
		r.spent = true
	}
	r.HTTPResponse = nil
	resp, err := client.Do(r.HTTPRequest)
	if err != nil {
		err = sdkError("send request", withoutSignature(err))
	} else {
		r.HTTPResponse = resp
		err = response.UnpackToOutputWithContext(ctx, r.Operation, resp, r.Output)
	}
	// A body that can seek has all its bytes at hand, so that the transport gives it back soon. For one that cannot, the next byte may never come.
	if r.start != nil && !r.lent.wait() {
		r.spent = true
	}
	return err
}

var errNotBuilt = errors.New("Build has to be called first")

// signer returns nil where the request is to be anonymous.
func (r *Request) signer() (*signer.QingStorSigner, error) {
	if r.HTTPRequest == nil {
		return nil, errNotBuilt
	}
	c := r.Operation.Config
	switch {
	case c.AccessKeyID == "" && c.SecretAccessKey == "":
		return nil, nil
	case c.AccessKeyID == "":
		return nil, errors.New("access key ID is missing")
	case c.SecretAccessKey == "":
		return nil, errors.New("secret access key is missing")
	}
	return &signer.QingStorSigner{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey}, nil
}

// canonical returns HTTPRequest with the path that its signature covers. A caller may have changed the request after Build.
func (r *Request) canonical() signer.CanonicalReq {
	if r.config().EnableVirtualHostStyle && strings.HasPrefix(r.Operation.RequestURI, bucketPlace) {
		return signer.CanonicalReqByVhost(r.HTTPRequest, wire.Escape(r.target().bucket))
	}
	return signer.CanonicalReqByPath(r.HTTPRequest)
}

func (r *Request) config() *config.Config { return r.Operation.Config }

func sdkError(action string, err error) error {
	return qserrors.NewSDKError(qserrors.WithAction(action), qserrors.WithError(err))
}

// withoutSignature takes the query out of the URL that a transport error shows: a signed link is as good as a key.
func withoutSignature(err error) error {
	var ue *url.Error
	if !errors.As(err, &ue) {
		return err
	}
	u, perr := url.Parse(ue.URL)
	if perr != nil {
		return err
	}
	u.RawQuery = signer.Unsigned(u.RawQuery)
	ue.URL = u.String()
	return err
}

func orBackground(ctx context.Context) context.Context {
	if ctx == nil {
		return context.Background()
	}
	return ctx
}
