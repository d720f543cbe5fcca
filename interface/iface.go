// Package iface names the methods of the clients in package service, for programs that put something else in their place.
//
// The interfaces have the methods that QingStor's SDK has in them and will get no others: a stand-in that fits today fits tomorrow.
package iface

import (
	"context"

	"github.com/cisternhq/cistern/service"
)

// Service is what service.Service does.
type Service interface {
	// Bucket returns the bucket of that name in a zone. It sends nothing.
	Bucket(bucketName string, zone string) (*service.Bucket, error)

	ListBuckets(input *service.ListBucketsInput) (*service.ListBucketsOutput, error)
	ListBucketsWithContext(ctx context.Context, input *service.ListBucketsInput) (*service.ListBucketsOutput, error)
}

// Bucket is what service.Bucket does.
type Bucket interface {
	AbortMultipartUpload(objectKey string, input *service.AbortMultipartUploadInput) (*service.AbortMultipartUploadOutput, error)
	AbortMultipartUploadWithContext(ctx context.Context, objectKey string, input *service.AbortMultipartUploadInput) (*service.AbortMultipartUploadOutput, error)

	AppendObject(objectKey string, input *service.AppendObjectInput) (*service.AppendObjectOutput, error)
	AppendObjectWithContext(ctx context.Context, objectKey string, input *service.AppendObjectInput) (*service.AppendObjectOutput, error)

	CompleteMultipartUpload(objectKey string, input *service.CompleteMultipartUploadInput) (*service.CompleteMultipartUploadOutput, error)
	CompleteMultipartUploadWithContext(ctx context.Context, objectKey string, input *service.CompleteMultipartUploadInput) (*service.CompleteMultipartUploadOutput, error)

	Delete() (*service.DeleteBucketOutput, error)
	DeleteWithContext(ctx context.Context) (*service.DeleteBucketOutput, error)

	DeleteCNAME(input *service.DeleteBucketCNAMEInput) (*service.DeleteBucketCNAMEOutput, error)
	DeleteCNAMEWithContext(ctx context.Context, input *service.DeleteBucketCNAMEInput) (*service.DeleteBucketCNAMEOutput, error)

	DeleteCORS() (*service.DeleteBucketCORSOutput, error)
	DeleteCORSWithContext(ctx context.Context) (*service.DeleteBucketCORSOutput, error)

	DeleteExternalMirror() (*service.DeleteBucketExternalMirrorOutput, error)
	DeleteExternalMirrorWithContext(ctx context.Context) (*service.DeleteBucketExternalMirrorOutput, error)

	DeleteLifecycle() (*service.DeleteBucketLifecycleOutput, error)
	DeleteLifecycleWithContext(ctx context.Context) (*service.DeleteBucketLifecycleOutput, error)

	DeleteLogging() (*service.DeleteBucketLoggingOutput, error)
	DeleteLoggingWithContext(ctx context.Context) (*service.DeleteBucketLoggingOutput, error)

	DeleteMultipleObjects(input *service.DeleteMultipleObjectsInput) (*service.DeleteMultipleObjectsOutput, error)
	DeleteMultipleObjectsWithContext(ctx context.Context, input *service.DeleteMultipleObjectsInput) (*service.DeleteMultipleObjectsOutput, error)

	DeleteNotification() (*service.DeleteBucketNotificationOutput, error)
	DeleteNotificationWithContext(ctx context.Context) (*service.DeleteBucketNotificationOutput, error)

	DeleteObject(objectKey string) (*service.DeleteObjectOutput, error)
	DeleteObjectWithContext(ctx context.Context, objectKey string) (*service.DeleteObjectOutput, error)

	DeletePolicy() (*service.DeleteBucketPolicyOutput, error)
	DeletePolicyWithContext(ctx context.Context) (*service.DeleteBucketPolicyOutput, error)

	DeleteReplication() (*service.DeleteBucketReplicationOutput, error)
	DeleteReplicationWithContext(ctx context.Context) (*service.DeleteBucketReplicationOutput, error)

	GetACL() (*service.GetBucketACLOutput, error)
	GetACLWithContext(ctx context.Context) (*service.GetBucketACLOutput, error)

	GetCNAME(input *service.GetBucketCNAMEInput) (*service.GetBucketCNAMEOutput, error)
	GetCNAMEWithContext(ctx context.Context, input *service.GetBucketCNAMEInput) (*service.GetBucketCNAMEOutput, error)

	GetCORS() (*service.GetBucketCORSOutput, error)
	GetCORSWithContext(ctx context.Context) (*service.GetBucketCORSOutput, error)

	GetExternalMirror() (*service.GetBucketExternalMirrorOutput, error)
	GetExternalMirrorWithContext(ctx context.Context) (*service.GetBucketExternalMirrorOutput, error)

	GetLifecycle() (*service.GetBucketLifecycleOutput, error)
	GetLifecycleWithContext(ctx context.Context) (*service.GetBucketLifecycleOutput, error)

	GetLogging() (*service.GetBucketLoggingOutput, error)
	GetLoggingWithContext(ctx context.Context) (*service.GetBucketLoggingOutput, error)

	GetNotification() (*service.GetBucketNotificationOutput, error)
	GetNotificationWithContext(ctx context.Context) (*service.GetBucketNotificationOutput, error)

	GetObject(objectKey string, input *service.GetObjectInput) (*service.GetObjectOutput, error)
	GetObjectWithContext(ctx context.Context, objectKey string, input *service.GetObjectInput) (*service.GetObjectOutput, error)

	GetPolicy() (*service.GetBucketPolicyOutput, error)
	GetPolicyWithContext(ctx context.Context) (*service.GetBucketPolicyOutput, error)

	GetReplication() (*service.GetBucketReplicationOutput, error)
	GetReplicationWithContext(ctx context.Context) (*service.GetBucketReplicationOutput, error)

	GetStatistics() (*service.GetBucketStatisticsOutput, error)
	GetStatisticsWithContext(ctx context.Context) (*service.GetBucketStatisticsOutput, error)

	Head() (*service.HeadBucketOutput, error)
	HeadWithContext(ctx context.Context) (*service.HeadBucketOutput, error)

	HeadObject(objectKey string, input *service.HeadObjectInput) (*service.HeadObjectOutput, error)
	HeadObjectWithContext(ctx context.Context, objectKey string, input *service.HeadObjectInput) (*service.HeadObjectOutput, error)

	ImageProcess(objectKey string, input *service.ImageProcessInput) (*service.ImageProcessOutput, error)
	ImageProcessWithContext(ctx context.Context, objectKey string, input *service.ImageProcessInput) (*service.ImageProcessOutput, error)

	InitiateMultipartUpload(objectKey string, input *service.InitiateMultipartUploadInput) (*service.InitiateMultipartUploadOutput, error)
	InitiateMultipartUploadWithContext(ctx context.Context, objectKey string, input *service.InitiateMultipartUploadInput) (*service.InitiateMultipartUploadOutput, error)

	ListMultipart(objectKey string, input *service.ListMultipartInput) (*service.ListMultipartOutput, error)
	ListMultipartWithContext(ctx context.Context, objectKey string, input *service.ListMultipartInput) (*service.ListMultipartOutput, error)

	ListMultipartUploads(input *service.ListMultipartUploadsInput) (*service.ListMultipartUploadsOutput, error)
	ListMultipartUploadsWithContext(ctx context.Context, input *service.ListMultipartUploadsInput) (*service.ListMultipartUploadsOutput, error)

	ListObjects(input *service.ListObjectsInput) (*service.ListObjectsOutput, error)
	ListObjectsWithContext(ctx context.Context, input *service.ListObjectsInput) (*service.ListObjectsOutput, error)

	OptionsObject(objectKey string, input *service.OptionsObjectInput) (*service.OptionsObjectOutput, error)
	OptionsObjectWithContext(ctx context.Context, objectKey string, input *service.OptionsObjectInput) (*service.OptionsObjectOutput, error)

	Put() (*service.PutBucketOutput, error)
	PutWithContext(ctx context.Context) (*service.PutBucketOutput, error)

	PutACL(input *service.PutBucketACLInput) (*service.PutBucketACLOutput, error)
	PutACLWithContext(ctx context.Context, input *service.PutBucketACLInput) (*service.PutBucketACLOutput, error)

	PutCNAME(input *service.PutBucketCNAMEInput) (*service.PutBucketCNAMEOutput, error)
	PutCNAMEWithContext(ctx context.Context, input *service.PutBucketCNAMEInput) (*service.PutBucketCNAMEOutput, error)

	PutCORS(input *service.PutBucketCORSInput) (*service.PutBucketCORSOutput, error)
	PutCORSWithContext(ctx context.Context, input *service.PutBucketCORSInput) (*service.PutBucketCORSOutput, error)

	PutExternalMirror(input *service.PutBucketExternalMirrorInput) (*service.PutBucketExternalMirrorOutput, error)
	PutExternalMirrorWithContext(ctx context.Context, input *service.PutBucketExternalMirrorInput) (*service.PutBucketExternalMirrorOutput, error)

	PutLifecycle(input *service.PutBucketLifecycleInput) (*service.PutBucketLifecycleOutput, error)
	PutLifecycleWithContext(ctx context.Context, input *service.PutBucketLifecycleInput) (*service.PutBucketLifecycleOutput, error)

	PutLogging(input *service.PutBucketLoggingInput) (*service.PutBucketLoggingOutput, error)
	PutLoggingWithContext(ctx context.Context, input *service.PutBucketLoggingInput) (*service.PutBucketLoggingOutput, error)

	PutNotification(input *service.PutBucketNotificationInput) (*service.PutBucketNotificationOutput, error)
	PutNotificationWithContext(ctx context.Context, input *service.PutBucketNotificationInput) (*service.PutBucketNotificationOutput, error)

	PutObject(objectKey string, input *service.PutObjectInput) (*service.PutObjectOutput, error)
	PutObjectWithContext(ctx context.Context, objectKey string, input *service.PutObjectInput) (*service.PutObjectOutput, error)

	PutPolicy(input *service.PutBucketPolicyInput) (*service.PutBucketPolicyOutput, error)
	PutPolicyWithContext(ctx context.Context, input *service.PutBucketPolicyInput) (*service.PutBucketPolicyOutput, error)

	PutReplication(input *service.PutBucketReplicationInput) (*service.PutBucketReplicationOutput, error)
	PutReplicationWithContext(ctx context.Context, input *service.PutBucketReplicationInput) (*service.PutBucketReplicationOutput, error)

	UploadMultipart(objectKey string, input *service.UploadMultipartInput) (*service.UploadMultipartOutput, error)
	UploadMultipartWithContext(ctx context.Context, objectKey string, input *service.UploadMultipartInput) (*service.UploadMultipartOutput, error)
}

var (
	_ Service = (*service.Service)(nil)
	_ Bucket  = (*service.Bucket)(nil)
)
