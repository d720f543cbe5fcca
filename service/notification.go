package service

import (
	"context"

	"github.com/cisternhq/cistern/request"
)

// GetNotification returns who is told of what happens to objects (QingStor API, "GET Bucket Notification"). The status is 200.
// It is refused with 403 permission_denied (only the owner may); 404 is bucket_not_exists or, from Cistern,
// setting_not_exists if there is none.
func (b *Bucket) GetNotification() (*GetBucketNotificationOutput, error) {
	return b.GetNotificationWithContext(context.Background())
}

// GetNotificationWithContext is GetNotification within ctx, where nil means context.Background.
func (b *Bucket) GetNotificationWithContext(ctx context.Context) (*GetBucketNotificationOutput, error) {
	r, out, err := b.GetNotificationRequest()
	return send(ctx, r, out, err)
}

// GetNotificationRequest prepares GetNotification.
func (b *Bucket) GetNotificationRequest() (*request.Request, *GetBucketNotificationOutput, error) {
	return prepareBucket[GetBucketNotificationOutput](b, getBucketNotification, nil)
}

// GetBucketNotificationOutput is the bucket's notifications.
type GetBucketNotificationOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`

	Notifications []*NotificationType `json:"notifications,omitempty" name:"notifications" location:"elements"`
}

// PutNotification replaces who is told of what happens to objects (QingStor API, "PUT Bucket Notification"). The status is 200.
// It is refused with 400 invalid_argument or invalid_request, whose message names the part that is wrong, 403 permission_denied (only the owner may)
// and 404 bucket_not_exists.
func (b *Bucket) PutNotification(input *PutBucketNotificationInput) (*PutBucketNotificationOutput, error) {
	return b.PutNotificationWithContext(context.Background(), input)
}

// PutNotificationWithContext is PutNotification within ctx, where nil means context.Background.
func (b *Bucket) PutNotificationWithContext(ctx context.Context, input *PutBucketNotificationInput) (*PutBucketNotificationOutput, error) {
	r, out, err := b.PutNotificationRequest(input)
	return send(ctx, r, out, err)
}

// PutNotificationRequest prepares PutNotification.
func (b *Bucket) PutNotificationRequest(input *PutBucketNotificationInput) (*request.Request, *PutBucketNotificationOutput, error) {
	return prepareBucket[PutBucketNotificationOutput](b, putBucketNotification, orZero(input))
}

// PutBucketNotificationInput is the new notifications.
type PutBucketNotificationInput struct {
	// Notifications are required.
	Notifications []*NotificationType `json:"notifications" name:"notifications" location:"elements" required:"true"`
}

// Validate checks that Notifications is given, and each of them.
func (v *PutBucketNotificationInput) Validate() error { return validate(v) }

// PutBucketNotificationOutput says that the bucket's notifications were set.
type PutBucketNotificationOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`
}

// DeleteNotification takes all notifications away: nobody is told (QingStor API, "DELETE Bucket Notification"). The status is 204, also if there was nothing to take away.
// It is refused with 403 permission_denied (only the owner may) and 404 bucket_not_exists.
func (b *Bucket) DeleteNotification() (*DeleteBucketNotificationOutput, error) {
	return b.DeleteNotificationWithContext(context.Background())
}

// DeleteNotificationWithContext is DeleteNotification within ctx, where nil means context.Background.
func (b *Bucket) DeleteNotificationWithContext(ctx context.Context) (*DeleteBucketNotificationOutput, error) {
	r, out, err := b.DeleteNotificationRequest()
	return send(ctx, r, out, err)
}

// DeleteNotificationRequest prepares DeleteNotification.
func (b *Bucket) DeleteNotificationRequest() (*request.Request, *DeleteBucketNotificationOutput, error) {
	return prepareBucket[DeleteBucketNotificationOutput](b, deleteBucketNotification, nil)
}

// DeleteBucketNotificationOutput says that the bucket's notifications are gone.
type DeleteBucketNotificationOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`
}

// NotificationType is one notification (QingStor API, "PUT Bucket Notification").
type NotificationType struct {
	// Cloudfunc is "tupu-porn", "notifier" or "image"; it is required.
	Cloudfunc *string `json:"cloudfunc" name:"cloudfunc" required:"true" enum:"tupu-porn notifier image"`
	// CloudfuncArgs is for "image"; nil means none.
	CloudfuncArgs *CloudfuncArgsType `json:"cloudfunc_args,omitempty" name:"cloudfunc_args"`
	// EventTypes are of create_object, delete_object, abort_multipart and complete_multipart; they are required.
	EventTypes []*string `json:"event_types" name:"event_types" required:"true"`
	// ID is the notification's name, unique in its bucket; it is required.
	ID *string `json:"id" name:"id" required:"true"`
	// NotifyURL is where the result is sent to by POST; nil means nowhere.
	NotifyURL *string `json:"notify_url,omitempty" name:"notify_url"`
	// ObjectFilters are patterns of keys, in which "*" stands for any text; nil means all keys.
	ObjectFilters []*string `json:"object_filters,omitempty" name:"object_filters"`
}

// Validate checks that what is required is given, and Cloudfunc.
func (t *NotificationType) Validate() error { return validate(t) }

// CloudfuncArgsType is what the function "image" is to do.
type CloudfuncArgsType struct {
	// Action is an action of Image Process; it is required.
	Action *string `json:"action" name:"action" required:"true"`
	// KeyPrefix begins the keys of results; nil means "gen".
	KeyPrefix *string `json:"key_prefix,omitempty" name:"key_prefix"`
	// KeySeprate stands between KeyPrefix and the object's key; nil means "_". The API spells it so.
	KeySeprate *string `json:"key_seprate,omitempty" name:"key_seprate"`
	// SaveBucket is where results go; nil means the same bucket.
	SaveBucket *string `json:"save_bucket,omitempty" name:"save_bucket"`
}

// Validate checks that Action is given.
func (t *CloudfuncArgsType) Validate() error { return validate(t) }
