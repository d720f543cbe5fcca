package service

import (
	"slices"

	"github.com/cisternhq/cistern/request/data"
)

// op is a row of the operations table.
type op int

const (
	listBuckets op = iota
	putBucket
	headBucket
	deleteBucket
	listObjects
	getBucketStatistics
	deleteMultipleObjects
	listMultipartUploads
	postObject
	getBucketACL
	putBucketACL
	getBucketCORS
	putBucketCORS
	deleteBucketCORS
	getBucketPolicy
	putBucketPolicy
	deleteBucketPolicy
	getBucketLifecycle
	putBucketLifecycle
	deleteBucketLifecycle
	getBucketNotification
	putBucketNotification
	deleteBucketNotification
	getBucketLogging
	putBucketLogging
	deleteBucketLogging
	getBucketReplication
	putBucketReplication
	deleteBucketReplication
	getBucketCNAME
	putBucketCNAME
	deleteBucketCNAME
	getBucketExternalMirror
	putBucketExternalMirror
	deleteBucketExternalMirror
	getBucketVersioning
	putBucketVersioning
	listObjectVersions
	putObject
	getObject
	headObject
	deleteObject
	optionsObject
	appendObject
	imageProcess
	initiateMultipartUpload
	uploadMultipart
	listMultipart
	completeMultipartUpload
	abortMultipartUpload
	operationCount
)

// The three forms of a path.
const (
	root   = "/"
	bucket = "/<bucket-name>"
	object = "/<bucket-name>/<object-key>"
)

// operations is the one list of what the API can do (QingStor API, "Overview"). The SDK sends by it and the server dispatches by it.
var operations = [operationCount]data.Operation{
	listBuckets: row("List Buckets", "GET", root, 200),

	putBucket:             row("PUT Bucket", "PUT", bucket, 201),
	headBucket:            row("HEAD Bucket", "HEAD", bucket, 200),
	deleteBucket:          row("DELETE Bucket", "DELETE", bucket, 204),
	listObjects:           row("GET Bucket (List Objects)", "GET", bucket, 200),
	getBucketStatistics:   row("GET Bucket Statistics", "GET", bucket+"?stats", 200),
	deleteMultipleObjects: row("Delete Multiple Objects", "POST", bucket+"?delete", 200),
	listMultipartUploads:  row("List Multipart Uploads", "GET", bucket+"?uploads", 200),
	postObject:            row("POST Object", "POST", bucket, 201, 302),

	getBucketACL: row("GET Bucket ACL", "GET", bucket+"?acl", 200),
	putBucketACL: row("PUT Bucket ACL", "PUT", bucket+"?acl", 200),

	getBucketCORS:    row("GET Bucket CORS", "GET", bucket+"?cors", 200),
	putBucketCORS:    row("PUT Bucket CORS", "PUT", bucket+"?cors", 200),
	deleteBucketCORS: row("DELETE Bucket CORS", "DELETE", bucket+"?cors", 204),

	getBucketPolicy:    row("GET Bucket Policy", "GET", bucket+"?policy", 200),
	putBucketPolicy:    row("PUT Bucket Policy", "PUT", bucket+"?policy", 200),
	deleteBucketPolicy: row("DELETE Bucket Policy", "DELETE", bucket+"?policy", 204),

	getBucketLifecycle:    row("GET Bucket Lifecycle", "GET", bucket+"?lifecycle", 200),
	putBucketLifecycle:    row("PUT Bucket Lifecycle", "PUT", bucket+"?lifecycle", 200),
	deleteBucketLifecycle: row("DELETE Bucket Lifecycle", "DELETE", bucket+"?lifecycle", 204),

	getBucketNotification:    row("GET Bucket Notification", "GET", bucket+"?notification", 200),
	putBucketNotification:    row("PUT Bucket Notification", "PUT", bucket+"?notification", 200),
	deleteBucketNotification: row("DELETE Bucket Notification", "DELETE", bucket+"?notification", 204),

	getBucketLogging:    row("GET Bucket Logging", "GET", bucket+"?logging", 200),
	putBucketLogging:    row("PUT Bucket Logging", "PUT", bucket+"?logging", 200),
	deleteBucketLogging: row("DELETE Bucket Logging", "DELETE", bucket+"?logging", 204),

	getBucketReplication:    row("GET Bucket Replication", "GET", bucket+"?replication", 200),
	putBucketReplication:    row("PUT Bucket Replication", "PUT", bucket+"?replication", 200),
	deleteBucketReplication: row("DELETE Bucket Replication", "DELETE", bucket+"?replication", 204),

	getBucketCNAME:    row("GET Bucket CNAME", "GET", bucket+"?cname", 200),
	putBucketCNAME:    row("PUT Bucket CNAME", "PUT", bucket+"?cname", 200),
	deleteBucketCNAME: row("DELETE Bucket CNAME", "DELETE", bucket+"?cname", 204),

	getBucketExternalMirror:    row("GET Bucket External Mirror", "GET", bucket+"?mirror", 200),
	putBucketExternalMirror:    row("PUT Bucket External Mirror", "PUT", bucket+"?mirror", 200),
	deleteBucketExternalMirror: row("DELETE Bucket External Mirror", "DELETE", bucket+"?mirror", 204),

	getBucketVersioning: row("GET Bucket Versioning", "GET", bucket+"?versioning", 200),
	putBucketVersioning: row("PUT Bucket Versioning", "PUT", bucket+"?versioning", 200),
	listObjectVersions:  row("List Object Versions", "GET", bucket+"?versions", 200),

	putObject:     row("PUT Object", "PUT", object, 201),
	getObject:     row("GET Object", "GET", object, 200, 206, 304, 412),
	headObject:    row("HEAD Object", "HEAD", object, 200),
	deleteObject:  row("DELETE Object", "DELETE", object, 204),
	optionsObject: row("OPTIONS Object", "OPTIONS", object, 200, 304, 412),
	appendObject:  row("Append Object", "POST", object+"?append", 200),
	imageProcess:  row("Image Process", "GET", object+"?image", 200, 304),

	initiateMultipartUpload: row("Initiate Multipart Upload", "POST", object+"?uploads", 200),
	uploadMultipart:         row("Upload Multipart", "PUT", object+"?part_number&upload_id", 201),
	listMultipart:           row("List Multipart", "GET", object+"?upload_id", 200),
	completeMultipartUpload: row("Complete Multipart Upload", "POST", object+"?upload_id", 201),
	abortMultipartUpload:    row("Abort Multipart Upload", "DELETE", object+"?upload_id", 204),
}

func row(name, method, uri string, ok ...int) data.Operation {
	return data.Operation{APIName: name, ServiceName: "QingStor", RequestMethod: method, RequestURI: uri, StatusCodes: ok}
}

// Operations returns every operation of the API, also those without a method here. Config and Properties are nil.
//
// The query in a RequestURI names the parameters that tell an operation from others of the same method and path: "GET Object" and
// "List Multipart" differ by upload_id.
func Operations() []data.Operation {
	ops := slices.Clone(operations[:])
	for i := range ops {
		ops[i].StatusCodes = slices.Clone(ops[i].StatusCodes)
	}
	return ops
}
