package service

import (
	"context"
	"time"

	"github.com/cisternhq/cistern/request"
)

// GetStatistics returns how much the bucket holds (QingStor API, "GET Bucket Statistics"). The status is 200.
// It is refused with 403 permission_denied (only the owner may) and 404 bucket_not_exists.
func (b *Bucket) GetStatistics() (*GetBucketStatisticsOutput, error) {
	return b.GetStatisticsWithContext(context.Background())
}

// GetStatisticsWithContext is GetStatistics within ctx, where nil means context.Background.
func (b *Bucket) GetStatisticsWithContext(ctx context.Context) (*GetBucketStatisticsOutput, error) {
	r, out, err := b.GetStatisticsRequest()
	return send(ctx, r, out, err)
}

// GetStatisticsRequest prepares GetStatistics.
func (b *Bucket) GetStatisticsRequest() (*request.Request, *GetBucketStatisticsOutput, error) {
	return prepareBucket[GetBucketStatisticsOutput](b, getBucketStatistics, nil)
}

// GetBucketStatisticsOutput is the numbers, as they are at this moment.
type GetBucketStatisticsOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`

	// Count is the number of objects.
	Count   *int64     `json:"count,omitempty" name:"count" location:"elements"`
	Created *time.Time `json:"created,omitempty" name:"created" location:"elements"`
	// Location is the zone.
	Location *string `json:"location,omitempty" name:"location" location:"elements"`
	Name     *string `json:"name,omitempty" name:"name" location:"elements"`
	// Size is the sum of the objects' sizes in bytes.
	Size *int64 `json:"size,omitempty" name:"size" location:"elements"`
	// Status is "active" or "suspended".
	Status *string `json:"status,omitempty" name:"status" location:"elements"`
	// StorageClasses are the numbers of each storage class, STANDARD or STANDARD_IA. QingStor's SDK lacks them.
	StorageClasses map[string]*StorageClassStatisticsType `json:"storage_classes,omitempty" name:"storage_classes" location:"elements"`
	URL            *string                                `json:"url,omitempty" name:"url" location:"elements"`
}

// StorageClassStatisticsType is how much a bucket holds in one storage class.
type StorageClassStatisticsType struct {
	BillingSize *int64 `json:"billing_size,omitempty" name:"billing_size"` // bytes
	Count       *int64 `json:"count,omitempty" name:"count"`
	Size        *int64 `json:"size,omitempty" name:"size"` // bytes
}

// Validate returns nil: nothing is required.
func (t *StorageClassStatisticsType) Validate() error { return validate(t) }
