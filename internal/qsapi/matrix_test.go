package qsapi_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/cisternhq/cistern/request/data"
	"github.com/cisternhq/cistern/service"
)

// right is what an operation needs leave for, as docs/access.md has it.
type right int

const (
	public      right = iota // nothing
	signed                   // any key
	owners                   // the bucket's own matters
	read                     // READ, also for everybody
	write                    // WRITE, also for everybody
	readNamed                // READ, for users only
	writeNamed               // WRITE, for users only
	writeSigned              // WRITE, and a signature whatever the policy says
	byPolicy                 // no access control list
)

// row is one operation of the matrix. The request is made so that it succeeds wherever the caller may make it.
type row struct {
	needs right
	// action is the name that policies have for it, "" where they have none.
	action string
	// ask returns the request. It may prepare what the request needs in the cell's bucket.
	ask func(m *matrix) message
	// undo names what the request changes of the bucket that the next one needs, as fill does.
	undo string
}

// matrix is a server with a bucket of ALICE's, under the access control list and the policy that are being tried.
type matrix struct {
	*site
	bucket      string
	acl, policy string
	png         string
	n           int
	// Thousands of requests share a connection.
	conn net.Conn
	from *bufio.Reader
}

func (m *matrix) send(r message) reply {
	m.t.Helper()
	text := r.head(m.addr)
	if r.body != "" || r.method == "PUT" || r.method == "POST" {
		text += "Content-Length: " + itoa(len(r.body)) + "\r\n"
	}
	if _, err := io.WriteString(m.conn, text+"\r\n"+r.body); err != nil {
		m.t.Fatal(err)
	}
	resp, err := http.ReadResponse(m.from, &http.Request{Method: r.method})
	if err != nil {
		m.t.Fatalf("%s %s: %v", r.method, r.path, err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.Close {
		m.t.Fatalf("%s %s: the connection ends behind %q, %v", r.method, r.path, body, err)
	}
	return reply{Response: resp, body: string(body)}
}

// of makes a request on the bucket, or on what is in it.
func of(method, path, body string) func(*matrix) message {
	return func(m *matrix) message {
		r := message{method: method, path: "/" + m.bucket + path, body: strings.ReplaceAll(body, "BUCKET", m.bucket)}
		if body != "" && strings.HasPrefix(body, "{") {
			r.header = append(r.header, jsonType)
		}
		return r
	}
}

// rows has every operation of the API.
var rows = map[string]row{
	"List Buckets": {needs: signed, ask: func(*matrix) message { return message{method: "GET", path: "/"} }},
	"PUT Bucket": {needs: signed, ask: func(m *matrix) message {
		return message{method: "PUT", path: "/new-" + itoa(m.next())}
	}},
	"HEAD Bucket":               {needs: readNamed, action: "head_bucket", ask: of("HEAD", "", "")},
	"DELETE Bucket":             {needs: owners, ask: (*matrix).emptied},
	"GET Bucket (List Objects)": {needs: readNamed, action: "list_objects", ask: of("GET", "?prefix=d", "")},
	"GET Bucket Statistics":     {needs: byPolicy, action: "get_bucket_stats", ask: of("GET", "?stats", "")},
	"Delete Multiple Objects": {needs: writeSigned, action: "delete_object", undo: "k", ask: func(m *matrix) message {
		r := of("POST", "?delete", `{"objects":[{"key":"k"}]}`)(m)
		r.header = append(r.header, "Content-MD5: "+md5Of(r.body)) // hex will do
		return r
	}},
	"List Multipart Uploads": {needs: readNamed, action: "list_objects", ask: of("GET", "?uploads", "")},

	"GET Bucket ACL":                {needs: owners, ask: of("GET", "?acl", "")},
	"PUT Bucket ACL":                {needs: owners, undo: "acl", ask: of("PUT", "?acl", `{"acl":[]}`)},
	"GET Bucket CORS":               {needs: owners, ask: of("GET", "?cors", "")},
	"PUT Bucket CORS":               {needs: owners, ask: of("PUT", "?cors", corsDoc)},
	"DELETE Bucket CORS":            {needs: owners, undo: "cors", ask: of("DELETE", "?cors", "")},
	"GET Bucket Policy":             {needs: owners, ask: of("GET", "?policy", "")},
	"PUT Bucket Policy":             {needs: owners, undo: "policy", ask: of("PUT", "?policy", `{"statement":[]}`)},
	"DELETE Bucket Policy":          {needs: owners, undo: "policy", ask: of("DELETE", "?policy", "")},
	"GET Bucket Lifecycle":          {needs: owners, ask: of("GET", "?lifecycle", "")},
	"PUT Bucket Lifecycle":          {needs: owners, ask: of("PUT", "?lifecycle", lifecycleDoc)},
	"DELETE Bucket Lifecycle":       {needs: owners, undo: "lifecycle", ask: of("DELETE", "?lifecycle", "")},
	"GET Bucket Notification":       {needs: owners, ask: of("GET", "?notification", "")},
	"PUT Bucket Notification":       {needs: owners, ask: of("PUT", "?notification", notificationDoc)},
	"DELETE Bucket Notification":    {needs: owners, undo: "notification", ask: of("DELETE", "?notification", "")},
	"GET Bucket Logging":            {needs: owners, ask: of("GET", "?logging", "")},
	"PUT Bucket Logging":            {needs: owners, ask: of("PUT", "?logging", loggingDoc)},
	"DELETE Bucket Logging":         {needs: owners, undo: "logging", ask: of("DELETE", "?logging", "")},
	"GET Bucket Replication":        {needs: owners, ask: of("GET", "?replication", "")},
	"PUT Bucket Replication":        {needs: owners, ask: of("PUT", "?replication", replicationDoc)},
	"DELETE Bucket Replication":     {needs: owners, undo: "replication", ask: of("DELETE", "?replication", "")},
	"GET Bucket Versioning":         {needs: owners, ask: of("GET", "?versioning", "")},
	"PUT Bucket Versioning":         {needs: owners, ask: of("PUT", "?versioning", `{"status":"SUSPENDED"}`)},
	"List Object Versions":          {needs: readNamed, action: "list_objects", ask: of("GET", "?versions", "")},
	"GET Bucket External Mirror":    {needs: owners, ask: of("GET", "?mirror", "")},
	"PUT Bucket External Mirror":    {needs: owners, ask: of("PUT", "?mirror", mirrorDoc)},
	"DELETE Bucket External Mirror": {needs: owners, undo: "mirror", ask: of("DELETE", "?mirror", "")},
	"GET Bucket CNAME":              {needs: owners, ask: of("GET", "?cname", "")},
	"PUT Bucket CNAME":              {needs: owners, ask: of("PUT", "?cname", `{"domain":"BUCKET.example.com"}`)},
	"DELETE Bucket CNAME":           {needs: owners, ask: of("DELETE", "?cname", `{"domain":"BUCKET.example.com"}`)},

	"POST Object": {needs: write, action: "create_object", ask: func(m *matrix) message {
		r := formMessage(formBody("f", "abc", "key", "k"))
		r.path = "/" + m.bucket
		return r
	}},
	"PUT Object":     {needs: write, action: "create_object", ask: of("PUT", "/k", "abc")},
	"GET Object":     {needs: read, action: "get_object", ask: of("GET", "/k", "")},
	"HEAD Object":    {needs: read, action: "head_object", ask: of("HEAD", "/k", "")},
	"DELETE Object":  {needs: writeNamed, action: "delete_object", undo: "k", ask: of("DELETE", "/k", "")},
	"Image Process":  {needs: read, action: "get_object", ask: of("GET", "/p.png?image&action=info", "")},
	"OPTIONS Object": {needs: public, ask: preflight},
	"Append Object": {needs: write, action: "create_object", ask: func(m *matrix) message {
		return of("POST", "/append-"+itoa(m.next())+"?append&position=0", "abc")(m)
	}},
	"Initiate Multipart Upload": {needs: write, action: "initiate_multipart_upload", ask: of("POST", "/up?uploads", "")},
	"Upload Multipart": {needs: write, action: "upload_object_part", ask: func(m *matrix) message {
		return of("PUT", "/up?part_number=0&upload_id="+m.upload(), "abc")(m)
	}},
	"List Multipart": {needs: read, action: "list_object_parts", ask: func(m *matrix) message {
		return of("GET", "/up?upload_id="+m.upload(), "")(m)
	}},
	"Complete Multipart Upload": {needs: write, action: "complete_multipart_upload", ask: func(m *matrix) message {
		id := m.upload()
		m.must(of("PUT", "/up?part_number=0&upload_id="+id, "abc")(m), 201)
		return of("POST", "/up?upload_id="+id, `{"object_parts":[{"part_number":0}]}`)(m)
	}},
	"Abort Multipart Upload": {needs: writeNamed, action: "abort_multipart_upload", ask: func(m *matrix) message {
		return of("DELETE", "/up?upload_id="+m.upload(), "")(m)
	}},
}

const (
	lifecycleDoc = `{"rule":[{"id":"one","status":"enabled","filter":{"prefix":"old/"},"expiration":{"days":30}}]}`
	mirrorDoc    = `{"source_site":"https://example.com/"}`
	// Nothing that the test does is an event for these.
	notificationDoc = `{"notifications":[{"id":"one","event_types":["create_object"],"object_filters":["none/*"],"cloudfunc":"notifier","notify_url":"https://example.com/"}]}`
	replicationDoc  = `{"rules":[{"id":"one","filters":{"prefix":"none/"},"destination":{"bucket":"matrix-replica"}}]}`
	loggingDoc      = `{"target_bucket":"BUCKET","target_prefix":"log/"}`
)

func preflight(m *matrix) message {
	r := of("OPTIONS", "/k", "")(m)
	r.header = []string{"Origin: https://a.example.com", "Access-Control-Request-Method: GET"}
	return r
}

func (m *matrix) next() int { m.n++; return m.n }

// must makes a request of the operator's, whom nothing binds.
func (m *matrix) must(r message, status int) reply {
	m.t.Helper()
	r.as = "OPERATOR"
	got := m.send(r)
	if got.StatusCode != status {
		m.t.Fatalf("%s %s = %d %s, want %d", r.method, r.path, got.StatusCode, got.body, status)
	}
	return got
}

// contents are what requests need in the bucket: objects and settings.
var contents = []string{"k", "p.png", "acl", "cors", "lifecycle", "mirror", "notification", "logging", "replication", "policy"}

// fill puts one of the contents into the bucket, as it is under what is being tried.
func (m *matrix) fill(name string) {
	m.t.Helper()
	r := of("PUT", "?"+name, map[string]string{
		"k": "abc", "p.png": m.png, "acl": m.acl, "policy": m.policy, "cors": corsDoc, "lifecycle": lifecycleDoc, "mirror": mirrorDoc,
		"notification": notificationDoc, "logging": loggingDoc, "replication": replicationDoc,
	}[name])(m)
	if name == "k" || name == "p.png" {
		r.path = "/" + m.bucket + "/" + name
	}
	if name == "policy" && m.policy == "" {
		// GET ?policy has to find one. This one is about nobody.
		r = of("PUT", "?policy", `{"statement":[{"id":"none","user":["nobody"],"action":["head_bucket"],"effect":"deny"}]}`)(m)
	}
	r.as = "OPERATOR"
	if got := m.send(r); got.StatusCode > 201 {
		m.t.Fatalf("PUT %s = %d %s", r.path, got.StatusCode, got.body)
	}
}

// emptied asks for the end of a bucket that is like the one that is tried, and empty.
func (m *matrix) emptied() message {
	e := &matrix{site: m.site, conn: m.conn, from: m.from, bucket: "empty-" + itoa(m.next()), acl: m.acl, policy: m.policy}
	r := of("PUT", "", "")(e)
	r.as = "ALICE"
	if got := e.send(r); got.StatusCode != 201 {
		m.t.Fatalf("PUT %s = %d %s", r.path, got.StatusCode, got.body)
	}
	e.must(of("PUT", "?acl", e.acl)(e), 200)
	if e.policy != "" {
		e.must(of("PUT", "?policy", e.policy)(e), 200)
	}
	return of("DELETE", "", "")(e)
}

// upload begins a multipart upload and returns its ID.
func (m *matrix) upload() string {
	r := m.must(of("POST", "/up?uploads", "")(m), 200)
	var u struct {
		ID string `json:"upload_id"`
	}
	if err := json.Unmarshal([]byte(r.body), &u); err != nil || u.ID == "" {
		m.t.Fatalf("upload = %s, %v", r.body, err)
	}
	return u.ID
}

// party is somebody who is let in or kept out.
type party struct{ user, effect string }

// list is an access control list with one grant, to BOB or to everybody.
type list struct{ grantee, permission string }

func (l list) doc() string {
	switch l.grantee {
	case "":
		return `{"acl":[]}`
	case "*":
		return `{"acl":[{"grantee":{"type":"group","name":"QS_ALL_USERS"},"permission":"` + l.permission + `"}]}`
	}
	return `{"acl":[{"grantee":{"type":"user","id":"` + l.grantee + `"},"permission":"` + l.permission + `"}]}`
}

func (p party) doc() string {
	if p.user == "" {
		return ""
	}
	return fmt.Sprintf(`{"statement":[{"id":"all","user":[%q],"effect":%q,"resource":["BUCKET","BUCKET/*"],"action":["get_object","head_object","create_object","delete_object",`+
		`"list_objects","head_bucket","get_bucket_stats","list_object_parts","upload_object_part","abort_multipart_upload","initiate_multipart_upload","complete_multipart_upload"]}]}`, p.user, p.effect)
}

// may says whether as may do what r needs, by the order of docs/access.md.
func (r row) may(as string, l list, p party) bool {
	switch {
	case r.needs == public:
		return true
	case r.needs == signed:
		return as != ""
	case r.needs == writeSigned && as == "":
		return false
	case as == "OPERATOR":
		return true
	case r.needs == owners:
		return as == "ALICE"
	case r.action != "" && (p.user == "*" || p.user == "bob" && as == "BOB"):
		return p.effect == "allow"
	case as == "ALICE":
		return true
	case l.grantee == "*" && as != "" || l.grantee == "bob" && as != "BOB":
		return false
	case l.grantee == "*" && r.needs != read && r.needs != write:
		return false
	}
	switch r.needs {
	case read, readNamed:
		return l.permission == "READ" || l.permission == "FULL_CONTROL"
	case write, writeNamed, writeSigned:
		return l.permission == "WRITE" || l.permission == "FULL_CONTROL"
	}
	return false
}

// TestAccessMatrix tries every operation with every caller under every access control list and policy.
func TestAccessMatrix(t *testing.T) {
	lists := []list{{}}
	for _, grantee := range []string{"bob", "*"} {
		for _, permission := range []string{"READ", "WRITE", "FULL_CONTROL"} {
			lists = append(lists, list{grantee, permission})
		}
	}
	parties := []party{{}, {"bob", "allow"}, {"bob", "deny"}, {"*", "allow"}, {"*", "deny"}}
	if testing.Short() {
		lists, parties = lists[:4], parties[:3]
	}
	m := &matrix{site: start(t, func(o *options) { o.OnRequest, o.Logger = nil, nil })}
	conn, err := net.Dial("tcp", m.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	m.conn, m.from = conn, bufio.NewReader(conn)
	var pixel bytes.Buffer
	if err := png.Encode(&pixel, image.NewGray(image.Rect(0, 0, 1, 1))); err != nil {
		t.Fatal(err)
	}
	m.png = pixel.String()
	m.want(message{as: "ALICE", method: "PUT", path: "/matrix-replica"}, 201, "")
	for _, l := range lists {
		for _, p := range parties {
			m.bucket, m.acl, m.policy = "matrix-"+itoa(m.next()), l.doc(), p.doc()
			m.want(message{as: "ALICE", method: "PUT", path: "/" + m.bucket}, 201, "")
			for _, name := range contents {
				m.fill(name)
			}
			for _, op := range service.Operations() {
				r, ok := rows[op.APIName]
				if !ok {
					continue
				}
				for _, as := range []string{"OPERATOR", "ALICE", "BOB", "CAROL", ""} {
					ask := r.ask(m)
					ask.as = as
					got := m.send(ask)
					status, code := op.StatusCodes[0], ""
					if !r.may(as, l, p) {
						status, code = 403, "permission_denied"
					}
					if got.StatusCode != status || code != "" && ask.method != "HEAD" && codeOf(got) != code {
						t.Errorf("%s as %q, access list %+v, policy %+v: %s %s = %d %s, want %d %s", op.APIName, as, l, p, ask.method, ask.path, got.StatusCode, got.body, status, code)
					}
					if r.undo != "" && got.StatusCode < 300 {
						m.fill(r.undo)
					}
				}
			}
		}
	}
	for _, op := range service.Operations() {
		if _, ok := rows[op.APIName]; !ok {
			t.Errorf("the matrix has no row for %s", op.APIName)
		}
	}
	for name := range rows {
		if !slices.ContainsFunc(service.Operations(), func(o operation) bool { return o.APIName == name }) {
			t.Errorf("the matrix has a row for %q, which is no operation", name)
		}
	}
}

type operation = data.Operation
