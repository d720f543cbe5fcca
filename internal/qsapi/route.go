package qsapi

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/cisternhq/cistern/internal/sign"
	"github.com/cisternhq/cistern/service"
)

// operation is what the server does for one of the API's operations.
type operation struct {
	handle handler
	// input is the SDK's input of the operation: its query fields are the parameters that the operation takes. Nil: none.
	input any
}

// operations are those that are served, by the title of their page. All others of service.Operations answer 501.
var operations = map[string]operation{
	"List Buckets":                  {(*API).listBuckets, service.ListBucketsInput{}},
	"PUT Bucket":                    {(*API).putBucket, nil},
	"HEAD Bucket":                   {(*API).headBucket, nil},
	"DELETE Bucket":                 {(*API).deleteBucket, nil},
	"GET Bucket (List Objects)":     {(*API).listObjects, service.ListObjectsInput{}},
	"GET Bucket Statistics":         {(*API).bucketStats, nil},
	"Delete Multiple Objects":       {(*API).deleteObjects, nil},
	"POST Object":                   {(*API).postObject, nil},
	"GET Bucket ACL":                {(*API).getACL, nil},
	"PUT Bucket ACL":                {(*API).putACL, service.PutBucketACLInput{}},
	"GET Bucket Lifecycle":          {(*API).getLifecycle, nil},
	"PUT Bucket Lifecycle":          {(*API).putLifecycle, service.PutBucketLifecycleInput{}},
	"DELETE Bucket Lifecycle":       {(*API).deleteLifecycle, nil},
	"GET Bucket CORS":               {(*API).getCORS, nil},
	"PUT Bucket CORS":               {(*API).putCORS, service.PutBucketCORSInput{}},
	"DELETE Bucket CORS":            {(*API).deleteCORS, nil},
	"GET Bucket Policy":             {(*API).getPolicy, nil},
	"PUT Bucket Policy":             {(*API).putPolicy, service.PutBucketPolicyInput{}},
	"DELETE Bucket Policy":          {(*API).deletePolicy, nil},
	"GET Bucket CNAME":              {(*API).getCNAME, service.GetBucketCNAMEInput{}},
	"PUT Bucket CNAME":              {(*API).putCNAME, service.PutBucketCNAMEInput{}},
	"DELETE Bucket CNAME":           {(*API).deleteCNAME, service.DeleteBucketCNAMEInput{}},
	"GET Bucket Notification":       {(*API).getNotification, nil},
	"PUT Bucket Notification":       {(*API).putNotification, service.PutBucketNotificationInput{}},
	"DELETE Bucket Notification":    {(*API).deleteNotification, nil},
	"GET Bucket Replication":        {(*API).getReplication, nil},
	"PUT Bucket Replication":        {(*API).putReplication, service.PutBucketReplicationInput{}},
	"DELETE Bucket Replication":     {(*API).deleteReplication, nil},
	"GET Bucket Logging":            {(*API).getLogging, nil},
	"PUT Bucket Logging":            {(*API).putLogging, service.PutBucketLoggingInput{}},
	"DELETE Bucket Logging":         {(*API).deleteLogging, nil},
	"GET Bucket External Mirror":    {(*API).getMirror, nil},
	"PUT Bucket External Mirror":    {(*API).putMirror, service.PutBucketExternalMirrorInput{}},
	"DELETE Bucket External Mirror": {(*API).deleteMirror, nil},
	"GET Bucket Versioning":         {(*API).getVersioning, nil},
	"PUT Bucket Versioning":         {(*API).putVersioning, service.PutBucketVersioningInput{}},
	"List Object Versions":          {(*API).listVersions, service.ListObjectVersionsInput{}},
	"PUT Object":                    {(*API).putObject, service.PutObjectInput{}},
	"GET Object":                    {(*API).getObject, service.GetObjectInput{}},
	imageProcess:                    {(*API).processImage, service.ImageProcessInput{}},
	"HEAD Object":                   {(*API).headObject, service.HeadObjectInput{}},
	"DELETE Object":                 {(*API).deleteObject, service.DeleteObjectVersionInput{}},
	"Append Object":                 {(*API).appendObject, service.AppendObjectInput{}},
	"List Multipart Uploads":        {(*API).listUploads, service.ListMultipartUploadsInput{}},
	"Initiate Multipart Upload":     {(*API).initiateUpload, nil},
	"Upload Multipart":              {(*API).uploadPart, service.UploadMultipartInput{}},
	"List Multipart":                {(*API).listParts, service.ListMultipartInput{}},
	"Complete Multipart Upload":     {(*API).completeUpload, service.CompleteMultipartUploadInput{}},
	"Abort Multipart Upload":        {(*API).abortUpload, service.AbortMultipartUploadInput{}},
	preflight:                       {(*API).optionsObject, service.OptionsObjectInput{}},
}

// preflight is the operation by which browsers ask before they let a page make a request. They ask it of a bucket, too, and with the query that the
// page's request will have.
const preflight = "OPTIONS Object"

// imageProcess is the one read that can change something.
const imageProcess = "Image Process"

// endpoint is one operation of the API.
type endpoint struct {
	name   string
	handle handler
	// needs are the parameters that tell it from others of its method and scope, such as "mirror".
	needs []string
	takes map[string]bool // all its parameters
}

type place struct {
	method string
	scope  scope
}

// routes is the table of all operations.
type routes struct {
	at map[place][]*endpoint
	// selects are the parameters that tell operations apart.
	selects   map[string]bool
	preflight *endpoint
}

func newRoutes() routes {
	rs := routes{at: map[place][]*endpoint{}, selects: map[string]bool{}}
	for _, o := range service.Operations() {
		path, query, _ := strings.Cut(o.RequestURI, "?")
		e := &endpoint{name: o.APIName, takes: map[string]bool{}}
		for _, p := range parseQuery(query) {
			e.needs = append(e.needs, p.name)
			e.takes[p.name] = true
			rs.selects[p.name] = true
		}
		op, ok := operations[o.APIName]
		if !ok {
			panic("qsapi: nothing serves " + o.APIName)
		}
		e.handle = op.handle
		for _, name := range queryFields(op.input) {
			e.takes[name] = true
		}
		at := place{o.RequestMethod, pathScope(path)}
		for _, other := range rs.at[at] {
			if slices.Equal(other.needs, e.needs) {
				panic(fmt.Sprintf("qsapi: %s and %s cannot be told apart", other.name, e.name))
			}
		}
		rs.at[at] = append(rs.at[at], e)
		if e.name == preflight {
			rs.preflight = e
		}
	}
	if len(operations) != len(service.Operations()) {
		panic("qsapi: a handler's operation is not among the service's")
	}
	for _, es := range rs.at { // the most particular first
		slices.SortStableFunc(es, func(a, b *endpoint) int { return len(b.needs) - len(a.needs) })
	}
	return rs
}

func pathScope(path string) scope {
	switch strings.Count(strings.TrimSuffix(path, "/"), "/") {
	case 0:
		return onService
	case 1:
		return onBucket
	}
	return onObject
}

// queryFields returns the names of the fields of an input that travel in the query.
func queryFields(input any) []string {
	if input == nil {
		return nil
	}
	var names []string
	for t, i := reflect.TypeOf(input), 0; i < t.NumField(); i++ {
		if tag := t.Field(i).Tag; tag.Get("location") == "query" {
			names = append(names, tag.Get("name"))
		}
	}
	return names
}

// missingMethod: what is addressed exists, but not with this method.
type missingMethod struct {
	method string
	allow  []string
}

func (e *missingMethod) Error() string {
	return fmt.Sprintf("method %s is not allowed here; %s are", e.method, strings.Join(e.allow, ", "))
}

// find returns the operation that a request asks for.
func (rs routes) find(method string, s scope, ps params) (*endpoint, error) {
	if method == http.MethodOptions && s != onService {
		return rs.preflight, nil
	}
	var selecting []string
	for _, p := range ps {
		if rs.selects[p.name] || sign.Signed(p.name) && !strings.HasPrefix(p.name, "response-") {
			selecting = append(selecting, p.name)
		}
	}
	for _, e := range rs.at[place{method, s}] {
		if e.matches(ps, selecting) {
			return e, nil
		}
	}
	if allow := rs.methods(s, ps, selecting); len(allow) > 0 {
		return nil, &missingMethod{method, allow}
	}
	return nil, fail(http.StatusBadRequest, "invalid_argument", "No operation on %[2]s takes these query parameters: %[1]s.", strings.Join(selecting, ", "), s)
}

func (e *endpoint) matches(ps params, selecting []string) bool {
	for _, name := range e.needs {
		if !ps.has(name) {
			return false
		}
	}
	for _, name := range selecting {
		if !e.takes[name] {
			return false
		}
	}
	return true
}

// methods returns the methods that the same address knows.
func (rs routes) methods(s scope, ps params, selecting []string) []string {
	var allow []string
	for at, es := range rs.at {
		if at.scope == s && slices.ContainsFunc(es, func(e *endpoint) bool { return e.matches(ps, selecting) }) {
			allow = append(allow, at.method)
		}
	}
	slices.Sort(allow)
	return allow
}

// check refuses parameters that the operation does not know: ignoring them could mean to do something else than was asked for. Only a read
// goes on past a parameter with a value, which others append for their own ends; one without is a sub-resource.
func (e *endpoint) check(method string, ps params) error {
	if e.name == preflight {
		return nil // the parameters are those of the request that is asked about
	}
	for _, p := range ps {
		if !e.takes[p.name] && !sign.Credentials(p.name) {
			if p.value != "" && !sign.Signed(p.name) && (method == http.MethodGet || method == http.MethodHead) {
				continue
			}
			return fail(http.StatusBadRequest, "invalid_argument", "The query parameter %q is not known to %s.", p.name, e.name)
		}
	}
	return nil
}

// params are the decoded query parameters of a request, each name once.
type params []param

type param struct{ name, value string }

func (ps params) has(name string) bool {
	return slices.ContainsFunc(ps, func(p param) bool { return p.name == name })
}

func (ps params) values() url.Values {
	vs := make(url.Values, len(ps))
	for _, p := range ps {
		vs[p.name] = []string{p.value}
	}
	return vs
}

// parseParams reads the query of a request.
func parseParams(query string) (params, error) {
	ps := parseQuery(query)
	for i, p := range ps {
		if p.name == "" {
			return nil, fail(http.StatusBadRequest, "invalid_argument", "A query parameter has no name, or is not validly escaped.")
		}
		if ps[:i].has(p.name) {
			return nil, fail(http.StatusBadRequest, "invalid_argument", "The query parameter %q is there more than once.", p.name)
		}
	}
	return ps, nil
}

// parseQuery splits a query at "&" only. A piece whose escapes are broken gets the name "".
func parseQuery(query string) params {
	var ps params
	for piece := range strings.SplitSeq(query, "&") {
		if piece == "" {
			continue
		}
		name, value, _ := strings.Cut(piece, "=")
		var err1, err2 error
		var p param
		p.name, err1 = url.QueryUnescape(name)
		p.value, err2 = url.QueryUnescape(value)
		if err1 != nil || err2 != nil {
			p.name = ""
		}
		ps = append(ps, p)
	}
	return ps
}
